// Memory of the C library. The addon uses no C++ runtime, so that one binary runs with every libstdc++ and with none.
#pragma once

#include <stdlib.h>

#include <cstddef>

namespace datagram {

// Base of classes that are made by `new`. The result of `new` is null if there is no memory.
struct OnHeap {
  static void* operator new(size_t bytes) noexcept { return malloc(bytes); }
  static void operator delete(void* memory) { free(memory); }
};

}  // namespace datagram
