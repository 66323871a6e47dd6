FROM node:22-bookworm-slim
WORKDIR /app
RUN npm init -y && npm install datagram @nats-io/transport-node
EXPOSE 9000/udp
USER node
# Not npx: as the first process it does not pass SIGTERM on, and the gateway could not drain.
ENTRYPOINT ["node", "node_modules/datagram/dist/cli/main.js", "gateway"]
CMD ["0.0.0.0:9000", "--nats", "nats://127.0.0.1:4222", "--stream", "cameras", "--create", "--json"]
