FROM node:22-bookworm-slim
WORKDIR /app
RUN npm init -y && npm install datagram @nats-io/transport-node
EXPOSE 9000/udp
USER node
ENTRYPOINT ["npx", "--no", "datagram", "gateway"]
CMD ["0.0.0.0:9000", "--nats", "nats://127.0.0.1:4222", "--stream", "cameras", "--create", "--json"]
