// The layout of the memory and of the results that TypeScript reads. src/kernel/native/layout.ts repeats each number, and
// refuses an addon that exports another one.
#pragma once

#include <node_api.h>

namespace datagram {

// The result of receive: the count is in the lowest kCountBits bits. The bit above them is 1 if more may be there.
constexpr int kCountBits = 16;
// The result of send. The lowest bits have the number of sent datagrams, or a negative errno. Above them is the error of a
// refused segmented send. Above that is the number of datagrams that a local rule rejected.
constexpr int kSentBits = 12;
constexpr int kRefusedBits = 8;

// Makes the object `layout` of the addon: groups of numbers. Null if that fails.
napi_value LayoutOf(napi_env env);

}  // namespace datagram
