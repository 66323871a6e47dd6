/**
 * What the server of the page and the page send each other over a WebSocket. Texts are JSON objects with a `type`. Payloads
 * and pictures are binary frames: a kind (1 byte), a number (4 bytes, big-endian), then the bytes.
 *
 * The page trusts nothing in these messages: every text of a stranger becomes a text node, never markup. The server trusts
 * nothing of the page: each message is checked before it is used, and a wrong one gets a `refused`.
 */

/** The version of this protocol. A page of another version loads itself again. */
export const protocolVersion = 1;

/** The paths of the server. All of them are below the address of the page. */
export const paths = {
  /** The WebSocket. */
  socket: "/socket",
  /** `GET /recordings/<id>.pcapng` downloads a recording of `RecordingState`. */
  recordings: "/recordings/",
  /**
   * `POST /uploads?name=<name>` keeps its body, a capture file of up to `limits.uploadBytes`, for `replay`. The answer is its
   * `RecordingRow` as JSON with status 201, or one sentence as text with a status of 400 or above.
   */
  uploads: "/uploads",
} as const;

/** The limits of the server. */
export const limits = {
  /** Bytes of a message of the page. */
  messageBytes: 1_048_576,
  /** Addresses of a `send`. */
  sendAddresses: 64,
  /** Milliseconds that a `send` waits for a reply. */
  awaitMs: 60_000,
  /** Peers of `pictures`. */
  pictures: 64,
  /** Characters of the text of a `list`. */
  filterCharacters: 256,
  /** Bytes of an upload. */
  uploadBytes: 268_435_456,
} as const;

/** The kinds of binary frames. */
export const frameKinds = {
  /** The payload of a datagram: its number is that of `DatagramRow`. Answer to `detail`. */
  payload: 1,
  /** A whole JPEG picture: its number is that of the peer. */
  picture: 2,
} as const;

/** What the server sends. */
export type ServerMessage =
  | Hello
  | PeerChanges
  | LossReport
  | DatagramRows
  | Gone
  | SendResult
  | Reply
  | RecordingState
  | ReplayState
  | Playback
  | RelayState
  | Refused;

/** What the page sends. */
export type PageMessage = List | Detail | Pictures | Send | Record | Replay | Seek;

/**
 * The first message of a connection. Another one says that everything is sent again: the sources changed, the server moved in the file,
 * or the page was too slow for some updates.
 */
export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  /** The version of the package. */
  readonly version: string;
  /** Milliseconds since 1970 by the clock of the server. */
  readonly nowMs: number;
  readonly sources: readonly Source[];
  /** The addresses of this machine that other machines can send to. */
  readonly addresses: readonly { readonly address: string; readonly interface: string }[];
  /** Milliseconds between two `peers` messages. */
  readonly intervalMs: number;
  readonly recording: RecordingState;
  /** The file that is watched, if it is one. */
  readonly playback: Playback | undefined;
  /** What the relay that is watched did so far, if one is. */
  readonly relay: RelayState | undefined;
}

/** What is watched: a socket, one side of a relay, or a file. */
export interface Source {
  readonly id: number;
  /** `before` and `after` are the two sides of a relay: before and after its faults. */
  readonly kind: "socket" | "before" | "after" | "recording";
  /** Such as `127.0.0.1:9000`, or the name of the file. */
  readonly label: string;
  /** Whether it is of a simulated network. */
  readonly simulated: boolean;
  /** Whether the page can send from it. */
  readonly sends: boolean;
}

/** The peers that changed since the last message of this type. The first one has all. */
export interface PeerChanges {
  readonly type: "peers";
  readonly atMs: number;
  readonly rows: readonly PeerRow[];
  /** Numbers of the peers that were forgotten, because there are too many. */
  readonly forgotten: readonly number[];
  /** Peers in all, also those that were forgotten. */
  readonly total: number;
}

/** The counts of one peer at one source. */
export interface PeerRow {
  readonly id: number;
  readonly source: number;
  /** Such as `10.0.0.7:5000` or `[fe80::1%eth0]:5000`. */
  readonly address: string;
  readonly firstMs: number;
  /** When its last datagram arrived. */
  readonly lastMs: number;
  /** Datagrams and payload bytes that arrived from it. */
  readonly datagrams: number;
  readonly bytes: number;
  /** Datagrams and payload bytes that were sent to it. */
  readonly sent: number;
  readonly sentBytes: number;
  /** Datagrams in each of the last 60 seconds, the oldest first. Only in the first message about a peer of a connection. */
  readonly history: readonly number[] | undefined;
  /** The smallest and the largest payload. */
  readonly minSize: number;
  readonly maxSize: number;
  /** Datagrams with more than 1,400 bytes. */
  readonly large: number;
  /** Pauses that were much longer than its usual interval. */
  readonly gaps: number;
  readonly truncated: number;
  /** Datagrams that the kernel dropped just before one of this peer, at least. They can be those of other peers. */
  readonly lostBefore: number;
  /** ICMP errors about datagrams to it. */
  readonly icmp: number;
  /** Whether it sent regularly and has stopped. */
  readonly silent: boolean;
  /**
   * Whether it sends JPEG pictures, and how: whole in a datagram, in slices without a header, in messages of `datagram/message`,
   * or as RTP; `undefined` if it does not.
   */
  readonly picture: "datagram" | "slices" | "message" | "rtp" | undefined;
}

/** One loss, or several of one cause within a second. */
export interface LossReport {
  readonly type: "loss";
  readonly id: number;
  readonly atMs: number;
  /** The source; `undefined` if it is of the whole machine. */
  readonly source: number | undefined;
  /** The peer, if it is known. */
  readonly peer: number | undefined;
  readonly cause:
    | "receiveBuffer"
    | "queue"
    | "truncated"
    | "unreachable"
    | "pathMtu"
    | "silent"
    | "message"
    | "network"
    | "recording"
    | "host"
    /** A relay dropped them, by its settings. */
    | "relay"
    | "warning";
  /** How many datagrams, if it is known. */
  readonly datagrams: number | undefined;
  /** Whether `datagrams` is a minimum. */
  readonly atLeast: boolean;
  /** What happened, as one sentence, such as "At least 12 datagrams were lost: the receive buffer was full." */
  readonly sentence: string;
  /** What to do, if there is something to do: a sentence, with commands between backticks. */
  readonly advice: string | undefined;
}

/** Datagrams for the list. */
export interface DatagramRows {
  readonly type: "datagrams";
  /** That of the `list` which they match. */
  readonly request: number;
  readonly rows: readonly DatagramRow[];
  /** How many new ones were left out because they were too many. Some of them may not match. */
  readonly skipped: number;
}

/** A datagram of the list. */
export interface DatagramRow {
  /** A number to ask for its payload with. */
  readonly id: number;
  readonly source: number;
  readonly peer: number;
  /** Nanoseconds since 1970, as decimal digits. */
  readonly timestamp: string;
  readonly direction: "in" | "out";
  readonly from: string;
  readonly to: string;
  readonly size: number;
  readonly truncated: boolean;
  readonly lostBefore: number;
  /** What the payload looks like. */
  readonly looks: "empty" | "text" | "json" | "jpeg" | "rtp" | "message" | "binary";
  /** The first bytes as text or as hex digits: at most 80 characters, without control characters. */
  readonly preview: string;
}

/** The datagram of a `detail` is no longer kept. */
export interface Gone {
  readonly type: "gone";
  readonly id: number;
}

/** The result of a `send`, for each address. */
export interface SendResult {
  readonly type: "sent";
  readonly request: number;
  readonly to: string;
  readonly bytes: number;
  /** The code and text of the error, such as "EMSGSIZE: message too long". */
  readonly error: string | undefined;
}

/** The first datagram that came from an address of a `send` afterwards, or `undefined` fields if none came in time. */
export interface Reply {
  readonly type: "reply";
  readonly request: number;
  /** The address, as it is in the `to` of the `send`. */
  readonly from: string;
  readonly afterMs: number | undefined;
  /** The number of the datagram. */
  readonly datagram: number | undefined;
}

/** Whether a recording runs, and the recordings that can be downloaded at `/recordings/<id>.pcapng`. */
export interface RecordingState {
  readonly type: "recording";
  readonly running: RecordingRow | undefined;
  readonly files: readonly RecordingRow[];
}

/** One recording. */
export interface RecordingRow {
  readonly id: number;
  readonly name: string;
  readonly startedMs: number;
  readonly datagrams: number;
  readonly bytes: number;
  /** Datagrams that could not be written. */
  readonly missed: number;
  /** Whether the page uploaded it: it can be replayed, not downloaded. */
  readonly uploaded: boolean;
}

/** How far a replay is. */
export interface ReplayState {
  readonly type: "replaying";
  readonly file: number;
  readonly to: string;
  readonly sent: number;
  readonly total: number | undefined;
  readonly ended: boolean;
  readonly error: string | undefined;
}

/** The position in the file that is watched. */
export interface Playback {
  readonly type: "playback";
  /** Milliseconds since 1970 of the first and of the last datagram. */
  readonly firstMs: number;
  readonly lastMs: number;
  readonly positionMs: number;
  /** 1 is the speed of the recording; 0 is paused. */
  readonly speed: number;
  /** Datagrams in each of up to 600 equal parts of the time, for the bar. */
  readonly overview: readonly number[] | undefined;
}

/** What a relay did to the datagrams of each sender. Once a second if it changed. */
export interface RelayState {
  readonly type: "relay";
  /** The sources of both of its sides. */
  readonly before: number;
  readonly after: number;
  /** Those that sent last come first: at most 200. */
  readonly senders: readonly RelaySender[];
  /** Senders that are left out. */
  readonly others: number;
}

/** What a relay did to the datagrams of one sender, a client or a target. */
export interface RelaySender {
  readonly address: string;
  /** `"up"` is from a client to the targets. */
  readonly direction: "up" | "down";
  readonly arrived: number;
  /** Datagrams that have left: also second copies, and copies for further targets. */
  readonly forwarded: number;
  /** By the setting or the rule, such as `loss 10%` and `rule drop up`. */
  readonly dropped: readonly { readonly by: string; readonly datagrams: number }[];
  /** Of the datagrams that passed, in milliseconds. */
  readonly meanDelayMs: number;
  readonly maxDelayMs: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly corrupted: number;
}

/** A message of the page that was wrong, or not possible now. */
export interface Refused {
  readonly type: "refused";
  readonly request: number | undefined;
  /** One sentence. */
  readonly error: string;
}

/** What the list shows; the server answers with the last datagrams that match, and with new ones until the next `list`. */
export interface List {
  readonly type: "list";
  /** A number that the answers to this message repeat, so that the page knows those of an earlier one. */
  readonly request: number;
  /** Whether to send new ones. */
  readonly live: boolean;
  /** Only datagrams whose preview or addresses have this text, without regard to case. */
  readonly text: string;
  readonly peer: number | undefined;
  readonly source: number | undefined;
  readonly direction: "in" | "out" | undefined;
  readonly minSize: number | undefined;
  readonly maxSize: number | undefined;
}

/** Asks for the payload of a datagram. */
export interface Detail {
  readonly type: "detail";
  readonly id: number;
}

/** The peers whose pictures the page shows. */
export interface Pictures {
  readonly type: "pictures";
  readonly peers: readonly number[];
}

/** Sends a datagram to one or more addresses. */
export interface Send {
  readonly type: "send";
  /** A number that the answers repeat. */
  readonly request: number;
  readonly source: number;
  readonly to: readonly string[];
  /** One of them: UTF-8 text, pairs of hex digits, or the bytes of a file as base64. */
  readonly payload: { readonly text: string } | { readonly hex: string } | { readonly base64: string };
  /** How long to wait for a reply, in milliseconds; 0 does not wait. */
  readonly awaitMs: number;
}

/** Starts or ends a recording. */
export interface Record {
  readonly type: "record";
  readonly on: boolean;
}

/** Sends a recording again: one of `files`, or one that the page uploaded to `/uploads`. */
export interface Replay {
  readonly type: "replay";
  readonly file: number;
  readonly source: number;
  readonly to: string;
  readonly speed: number;
  /** Ends the replay that runs. */
  readonly stop: boolean;
}

/** Moves in the file that is watched. */
export interface Seek {
  readonly type: "seek";
  readonly positionMs: number;
  readonly speed: number;
}
