// The CRC-32 of zlib, gzip and Ethernet, by the instructions of the CPU: several times as fast as the tables of zlib.
#pragma once

#include <cstddef>
#include <cstdint>

namespace datagram {

// Whether this CPU has the instructions. Without them there is no implementation here: JavaScript then calls zlib.
bool HasCrc32();

// The CRC of bytes. `crc` is that of the bytes before them, 0 if there are none.
uint32_t Crc32(uint32_t crc, const uint8_t* bytes, size_t length);

}  // namespace datagram
