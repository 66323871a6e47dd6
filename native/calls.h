// What the exported calls share: the state of the thread, the memory of arrays, and results.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>

#include "error_queue.h"
#include "handle.h"
#include "heap.h"
#include "receive_batch.h"
#include "send_batch.h"

namespace datagram {

// What the sockets of one thread share. The arrays belong to JavaScript; `arrays` keeps them alive.
struct Shared : OnHeap {
  napi_async_context context = nullptr;
  Handles* handles = nullptr;
  ReceiveBatch* receive_batch = nullptr;
  SendBatch* send_batch = nullptr;
  ErrorQueue* error_queue = nullptr;
  const int32_t* slots = nullptr;  // kMaxMessages
  static constexpr size_t kArrays = 12;
  napi_ref arrays[kArrays] = {};
};

inline Shared* SharedOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Shared*>(data);
}

// Returns the memory of a typed array. Null if `value` is not such an array, or has fewer than `min_elements` elements.
template <typename T>
T* View(napi_env env, napi_value value, napi_typedarray_type type, size_t min_elements, size_t* length = nullptr) {
  bool is_typed_array = false;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return nullptr;
  napi_typedarray_type actual;
  size_t elements = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &actual, &elements, &data, nullptr, nullptr) != napi_ok) return nullptr;
  if (actual != type || elements < min_elements) return nullptr;
  if (length != nullptr) *length = elements;
  return static_cast<T*>(data);
}

inline uint8_t* Bytes(napi_env env, napi_value value, size_t min_elements, size_t* length = nullptr) {
  return View<uint8_t>(env, value, napi_uint8_array, min_elements, length);
}

inline int32_t* Numbers(napi_env env, napi_value value, size_t min_elements, size_t* length = nullptr) {
  return View<int32_t>(env, value, napi_int32_array, min_elements, length);
}

inline napi_value Number(napi_env env, int value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

// Makes the object `methods` of the addon: the calls on a socket.
napi_value MethodsOf(napi_env env);

// listen(callback: (this: object, events: number) => void): number. Sets the function that receives the events of all sockets,
// once. `this` is the socket.
napi_value Listen(napi_env env, napi_callback_info info);

// open(self: object, family: number, fd: number): number. Makes `self` a socket: the socket of descriptor `fd`, or a new one if
// `fd` is negative.
napi_value Open(napi_env env, napi_callback_info info);

}  // namespace datagram
