// The memory and the results that TypeScript reads by their numbers: src/kernel/native/layout.ts has each of them once more,
// and refuses an addon that exports another.
#pragma once

#include <node_api.h>

namespace datagram {

// What receive gives: the count in so many bits, and 1 above it when more may be there.
constexpr int kCountBits = 16;
// What send gives: in the lowest bits how many went, or negative an errno; above them the error that a segmented send was
// refused with; above that how many datagrams a local rule rejected.
constexpr int kSentBits = 12;
constexpr int kRefusedBits = 8;

// The object `layout` of the addon: groups of numbers. Null where it could not be made.
napi_value LayoutOf(napi_env env);

}  // namespace datagram
