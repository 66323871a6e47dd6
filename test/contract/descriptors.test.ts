import { AF_INET, SOCK_DGRAM, socket } from "datagram";
import { expect } from "vitest";

import { contract } from "./world.js";

const open = (fd: unknown): void => void socket(AF_INET, SOCK_DGRAM, { fd: fd as number }).close();

// semantics: bad-descriptor
contract("a number that cannot be a descriptor is refused", () => {
  for (const fd of [-1, 1.5, NaN, 2 ** 31])
    expect(() => open(fd)).toThrow(expect.objectContaining({ code: "ERR_OUT_OF_RANGE" }));
  for (const fd of ["3", null, {}])
    expect(() => open(fd)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }));
});

// semantics: bad-descriptor
contract(
  "a descriptor that is not open is EBADF, and the error names it",
  () => {
    const told = { name: "OSError", code: "EBADF", syscall: "socket" };
    expect(() => open(1_000_000)).toThrow(expect.objectContaining(told));
    expect(() => open(1_000_000)).toThrow(/descriptor 1000000 is not open/);
  },
  "descriptors",
);

// semantics: adopted-descriptor
contract(
  "without the feature, a descriptor is ENOTSUP, and the error names a driver that adopts it",
  () => {
    const told = { name: "OSError", code: "ENOTSUP", syscall: "socket" };
    expect(() => open(3)).toThrow(expect.objectContaining(told));
    expect(() => open(3)).toThrow(/native/);
  },
  "no descriptors",
);
