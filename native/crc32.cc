#include "crc32.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

namespace datagram {
namespace {

#if defined(__x86_64__)

// x to the power of 32 and so on, modulo the polynomial, with the bits in reverse: "Fast CRC Computation for Generic Polynomials
// Using PCLMULQDQ Instruction", Intel, 2009, for the polynomial 0x04c11db7. The kernel has the same (arch/x86/crypto/crc32-pclmul_asm.S
// until Linux 6.13).
constexpr long long kBy64Bytes[] = {0x154442bd4, 0x1c6e41596};
constexpr long long kBy16Bytes[] = {0x1751997d0, 0x0ccaa009e};
constexpr long long kBy8Bytes = 0x163cd6124;
constexpr long long kPolynomial[] = {0x1db710641, 0x1f7011641};

// The CRCs of the bytes 0 to 255.
struct Table {
  uint32_t crcs[256];
  constexpr Table() : crcs() {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t crc = byte;
      for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
      crcs[byte] = crc;
    }
  }
};
constexpr Table kTable;

uint32_t ByTable(uint32_t crc, const uint8_t* bytes, size_t length) {
  for (size_t i = 0; i < length; i++) crc = (crc >> 8) ^ kTable.crcs[(crc ^ bytes[i]) & 0xff];
  return crc;
}

#define DATAGRAM_CRC32 __attribute__((target("pclmul,sse4.1")))

DATAGRAM_CRC32 inline __m128i Load(const uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

// Moves 16 bytes forward by the distance of `by`, and adds the bytes that are there.
DATAGRAM_CRC32 inline __m128i Fold(__m128i from, __m128i by, __m128i to) {
  __m128i low = _mm_clmulepi64_si128(from, by, 0x00);
  __m128i high = _mm_clmulepi64_si128(from, by, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), to);
}

// `length` is a multiple of 16, and at least 64.
DATAGRAM_CRC32 uint32_t ByFolding(uint32_t crc, const uint8_t* bytes, size_t length) {
  __m128i by = _mm_set_epi64x(kBy64Bytes[1], kBy64Bytes[0]);
  __m128i a = _mm_xor_si128(Load(bytes), _mm_cvtsi32_si128(static_cast<int>(crc)));
  __m128i b = Load(bytes + 16);
  __m128i c = Load(bytes + 32);
  __m128i d = Load(bytes + 48);
  const uint8_t* end = bytes + length;
  for (bytes += 64; end - bytes >= 64; bytes += 64) {
    a = Fold(a, by, Load(bytes));
    b = Fold(b, by, Load(bytes + 16));
    c = Fold(c, by, Load(bytes + 32));
    d = Fold(d, by, Load(bytes + 48));
  }
  by = _mm_set_epi64x(kBy16Bytes[1], kBy16Bytes[0]);
  a = Fold(Fold(Fold(a, by, b), by, c), by, d);
  for (; end - bytes >= 16; bytes += 16) a = Fold(a, by, Load(bytes));

  // From 128 bits to 64, and to 32 by Barrett reduction.
  const __m128i low_words = _mm_setr_epi32(~0, 0, ~0, 0);
  a = _mm_xor_si128(_mm_srli_si128(a, 8), _mm_clmulepi64_si128(a, by, 0x10));
  a = _mm_xor_si128(_mm_srli_si128(a, 4),
                    _mm_clmulepi64_si128(_mm_and_si128(a, low_words), _mm_set_epi64x(0, kBy8Bytes), 0x00));
  const __m128i polynomial = _mm_set_epi64x(kPolynomial[1], kPolynomial[0]);
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(a, low_words), polynomial, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_words), polynomial, 0x00);
  return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(a, quotient), 1));
}

#undef DATAGRAM_CRC32

#endif

}  // namespace

#if defined(__x86_64__)

bool HasCrc32() { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }

uint32_t Crc32(uint32_t crc, const uint8_t* bytes, size_t length) {
  crc = ~crc;
  size_t folded = length >= 64 ? length & ~static_cast<size_t>(15) : 0;
  if (folded > 0) crc = ByFolding(crc, bytes, folded);
  return ~ByTable(crc, bytes + folded, length - folded);
}

#elif defined(__aarch64__)

bool HasCrc32() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

__attribute__((target("+crc"))) uint32_t Crc32(uint32_t crc, const uint8_t* bytes, size_t length) {
  crc = ~crc;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    crc = __crc32d(crc, word);
  }
  for (; length > 0; bytes++, length--) crc = __crc32b(crc, *bytes);
  return ~crc;
}

#else

bool HasCrc32() { return false; }

uint32_t Crc32(uint32_t, const uint8_t*, size_t) { return 0; }

#endif

}  // namespace datagram
