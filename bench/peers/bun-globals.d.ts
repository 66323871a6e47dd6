/** The part of Bun's API that bun.ts uses. */
interface BunSocket {
  readonly port: number;
  readonly fd: number;
  /** Payload, port and address of each datagram in turn. Returns how many were sent; `drain` is called when there is room again. */
  sendMany(packets: readonly (Buffer | number | string)[]): number;
  close(): void;
}

interface BunHandlers {
  data?: (socket: BunSocket, payload: Buffer, port: number, address: string) => void;
  drain?: (socket: BunSocket) => void;
}

declare const Bun: {
  readonly version: string;
  gc(wait: boolean): void;
  udpSocket(options: { hostname: string; port: number; socket?: BunHandlers }): Promise<BunSocket>;
};

declare module "bun:ffi" {
  export function dlopen(
    library: string,
    symbols: { setsockopt: { args: readonly string[]; returns: string } },
  ): {
    readonly symbols: {
      setsockopt(fd: number, level: number, option: number, value: Int32Array, size: number): number;
    };
  };
}
