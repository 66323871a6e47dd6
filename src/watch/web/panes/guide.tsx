/** What the page shows while no datagram has come: the addresses of this machine, and what to type on a device. */

import type { VNode } from "preact";
import { useState } from "preact/hooks";

import type { Source } from "../../protocol.js";
import { CopyButton } from "../parts/copy-button.js";
import { useTopics } from "../parts/hooks.js";
import { Tabs } from "../parts/tabs.js";
import type { Client } from "../state/client.js";
import "./guide.css";

interface GuideProps {
  readonly client: Client;
  readonly sources: readonly Source[];
}

const languages = ["Python", "MicroPython", "datagram", "C"] as const;
type Language = (typeof languages)[number];

export function Guide({ client, sources }: GuideProps): VNode {
  const { state } = client;
  useTopics(state, "hello", "sends");
  const [language, setLanguage] = useState<Language>("Python");
  const [chosenAddress, setAddress] = useState<string | undefined>(undefined);
  const source = sources[0];
  if (source === undefined) return <section class="card guide">No socket is watched.</section>;
  if (state.playback !== undefined)
    return (
      <section class="card guide">
        <h2>The file is read</h2>
        <p>No datagram has come yet. Press play, or choose a time in the bar above.</p>
      </section>
    );
  const { host, port } = hostAndPort(source.label);
  const isLoopback = host === "127.0.0.1" || host === "::1";
  const isAny = host === "0.0.0.0" || host === "::";
  const addresses = isAny
    ? (state.hello?.addresses ?? []).filter(({ address }) => host === "::" || !address.includes(":"))
    : [{ address: host, interface: isLoopback ? "this machine only" : "" }];
  const here = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const address = chosenAddress ?? addresses[0]?.address ?? here;
  const text = program(language, address, port);
  return (
    <section class="card guide" aria-label="No datagram has come yet">
      <h2>No datagram has come yet</h2>
      <p>
        The socket is open at <code>{source.label}</code>
        {source.simulated && <span class="tag">simulated</span>}. Peers appear here with their first datagram.
      </p>

      <h3>1. The address to send to</h3>
      <div class="addresses" role="radiogroup" aria-label="The address to send to">
        {addresses.map((each) => (
          <label key={each.address} class="address-choice">
            <input
              type="radio"
              name="address"
              checked={each.address === address}
              onChange={() => setAddress(each.address)}
            />
            <span class="address">{joined(each.address, port)}</span>
            <span class="muted">{each.interface}</span>
          </label>
        ))}
      </div>
      {isLoopback && (
        <p class="note">
          <strong>Only this machine can reach it.</strong> For other devices, watch{" "}
          <code>0.0.0.0:{port}</code> instead.
        </p>
      )}
      {isAny && addresses.length === 0 && (
        <p class="note">
          <strong>This machine has no address on a network.</strong> Only its own programs can send, to{" "}
          <code>{joined(here, port)}</code>.
        </p>
      )}

      <h3>2. On the device</h3>
      <Tabs id="guide" label="Language" tabs={languages} selected={language} onSelect={setLanguage} />
      <div class="code" role="tabpanel" id="guide-panel" aria-labelledby={`guide-tab-${language}`}>
        <pre tabIndex={0}>{text}</pre>
        <CopyButton text={text} label={`the ${language} program`} />
      </div>

      <h3>3. If nothing appears</h3>
      <Check client={client} source={source} to={joined(here, port)} />
      <ul class="checks">
        <li>
          See whether the datagrams reach this machine at all:{" "}
          <Command text={`sudo tcpdump -ni any udp port ${port}`} />
        </li>
        <li>
          If they do, a firewall of this machine may drop them: <Command text="sudo nft list ruleset" />
        </li>
        <li>If they do not, the device is in another network, or sends to another address or port.</li>
      </ul>
    </section>
  );
}

/** Sends a datagram from this machine to the watched socket. */
function Check({
  client,
  source,
  to,
}: {
  readonly client: Client;
  readonly source: Source;
  readonly to: string;
}): VNode {
  const [request, setRequest] = useState(false);
  const last = client.state.sent.requests[0];
  const problem = last?.refusal ?? last?.to[0]?.error;
  return (
    <p class="check">
      {source.sends && (
        <>
          <button
            type="button"
            onClick={() => {
              setRequest(true);
              client.send({ source: source.id, to: [to], payload: { text: "hello" }, awaitMs: 0 }, "hello");
            }}
          >
            Send one from here
          </button>{" "}
        </>
      )}
      <span aria-live="polite">
        {!request &&
          "The socket sends a datagram to itself. If it appears, the port is reached from this machine."}
        {request &&
          problem === undefined &&
          `Sent to ${to}. If the page goes on to show this, a firewall of this machine drops it.`}
        {request && problem !== undefined && `It could not be sent: ${problem}`}
      </span>
    </p>
  );
}

function Command({ text }: { readonly text: string }): VNode {
  return (
    <span class="command">
      <code>{text}</code> <CopyButton text={text} label={text} />
    </span>
  );
}

function program(language: Language, host: string, port: number): string {
  const isSix = host.includes(":");
  switch (language) {
    case "Python":
      return `from socket import *\ns = socket(${isSix ? "AF_INET6" : "AF_INET"}, SOCK_DGRAM)\ns.sendto(b"hello", ("${host}", ${port}))`;
    case "MicroPython":
      return `import socket\ns = socket.socket(socket.${isSix ? "AF_INET6" : "AF_INET"}, socket.SOCK_DGRAM)\ns.sendto(b"hello", socket.getaddrinfo("${host}", ${port})[0][-1])`;
    case "datagram":
      return `npx datagram send ${joined(host, port)} hello`;
    case "C":
      return isSix
        ? c("sockaddr_in6", "sin6_family", "AF_INET6", "sin6_port", "sin6_addr", host, port)
        : c("sockaddr_in", "sin_family", "AF_INET", "sin_port", "sin_addr", host, port);
  }
}

function c(
  type: string,
  family: string,
  familyValue: string,
  portField: string,
  addressField: string,
  host: string,
  port: number,
): string {
  return `#include <arpa/inet.h>
#include <sys/socket.h>

int main(void) {
  int s = socket(${familyValue}, SOCK_DGRAM, 0);
  struct ${type} to = {.${family} = ${familyValue}, .${portField} = htons(${port})};
  inet_pton(${familyValue}, "${host}", &to.${addressField});
  return sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof to) == 5 ? 0 : 1;
}`;
}

/** Takes apart `10.0.0.7:9000` or `[::1]:9000`. */
function hostAndPort(label: string): { readonly host: string; readonly port: number } {
  const parts = /^\[?(.*?)\]?:(\d+)$/.exec(label);
  return { host: parts?.[1] ?? label, port: Number(parts?.[2] ?? 0) };
}

function joined(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
