/** Reads from a shared library of Linux what it needs and what it has: elf(5). */

import assert from "node:assert/strict";

/** A function or an object that a library needs from another one. */
export interface Import {
  readonly name: string;
  /** The version of the symbol, such as `GLIBC_2.17`; `undefined` if any will do. */
  readonly version: string | undefined;
  /** Whether the library also works without it. */
  readonly weak: boolean;
}

export interface Library {
  /** `e_machine`: 40 is ARM, 62 x86-64, 183 ARM64. */
  readonly machine: number;
  /** `e_flags`, which only some CPUs use. */
  readonly flags: number;
  /** The names of the libraries that it needs. */
  readonly needed: readonly string[];
  readonly imports: readonly Import[];
  /** The names that other libraries can use. */
  readonly exports: readonly string[];
}

const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const SHT_GNU_VERSYM = 0x6fffffff;
const DT_NEEDED = 1;
const STB_WEAK = 2;

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

/** Reads a little-endian library of 32 or 64 bits. */
export function readLibrary(file: Buffer): Library {
  assert.equal(file.toString("latin1", 0, 4), "\x7fELF");
  const wide = file[4] === 2;
  const word = (at: number): number => (wide ? Number(file.readBigUInt64LE(at)) : file.readUInt32LE(at));
  const sections = sectionsOf(file, wide, word);
  const found = (type: number): Section | undefined => sections.find((each) => each.type === type);
  const text = (section: Section, at: number): string => {
    const start = sections[section.link]!.offset + at;
    return file.toString("latin1", start, file.indexOf(0, start));
  };

  const dynamic = found(SHT_DYNAMIC);
  const symbols = found(SHT_DYNSYM);
  assert(dynamic && symbols, "the file is no shared library");
  const needed = entriesOf(dynamic, wide ? 16 : 8)
    .filter((at) => word(at) === DT_NEEDED)
    .map((at) => text(dynamic, word(at + (wide ? 8 : 4))));
  const versions = versionsOf(file, found(SHT_GNU_VERNEED), text);
  const versym = found(SHT_GNU_VERSYM);

  const imports: Import[] = [];
  const exports: string[] = [];
  for (const [index, at] of entriesOf(symbols, wide ? 24 : 16).entries()) {
    const name = text(symbols, file.readUInt32LE(at));
    if (name === "") continue;
    const info = file[at + (wide ? 4 : 12)]!;
    const section = file.readUInt16LE(at + (wide ? 6 : 14));
    const version = versym && versions.get(file.readUInt16LE(versym.offset + 2 * index) & 0x7fff);
    if (section === 0) imports.push({ name, version, weak: info >> 4 === STB_WEAK });
    else exports.push(name);
  }
  return {
    machine: file.readUInt16LE(18),
    flags: file.readUInt32LE(wide ? 48 : 36),
    ...{ needed, imports, exports },
  };
}

function sectionsOf(file: Buffer, wide: boolean, word: (at: number) => number): Section[] {
  const start = word(wide ? 40 : 32);
  const size = file.readUInt16LE(wide ? 58 : 46);
  const count = file.readUInt16LE(wide ? 60 : 48);
  return Array.from({ length: count }, (_, index) => {
    const at = start + size * index;
    return {
      type: file.readUInt32LE(at + 4),
      offset: word(at + (wide ? 24 : 16)),
      size: word(at + (wide ? 32 : 20)),
      link: file.readUInt32LE(at + (wide ? 40 : 24)),
    };
  });
}

/** The offsets of the entries of a section. */
function entriesOf({ offset, size }: Section, bytes: number): number[] {
  return Array.from({ length: size / bytes }, (_, index) => offset + bytes * index);
}

/** The names of the versions that a library needs, by their index. */
function versionsOf(
  file: Buffer,
  section: Section | undefined,
  text: (section: Section, at: number) => string,
): Map<number, string> {
  const versions = new Map<number, string>();
  if (!section) return versions;
  for (let at = section.offset, next = 1; next !== 0; at += next) {
    for (let entry = at + file.readUInt32LE(at + 8), left = file.readUInt16LE(at + 2); left > 0; left--) {
      versions.set(file.readUInt16LE(entry + 6), text(section, file.readUInt32LE(entry + 8)));
      entry += file.readUInt32LE(entry + 12);
    }
    next = file.readUInt32LE(at + 12);
  }
  return versions;
}
