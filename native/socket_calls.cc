// The calls on a socket. A call returns 0 or a count, or a negative errno.

#include <errno.h>

#include <algorithm>

#include "calls.h"
#include "handle.h"
#include "layout.h"
#include "socket.h"

namespace datagram {
namespace {

// The arguments of a call on a socket. `handle` is null if the socket is closed, or if `this` is not a socket.
template <size_t N>
struct Call {
  Call(napi_env env, napi_callback_info info) {
    napi_value self = nullptr;
    size_t count = N;
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &count, arguments, &self, nullptr) != napi_ok || count < N) return;
    // No type tag: checking one costs more than the rest of the call, and only src/kernel/native holds these objects.
    if (napi_unwrap(env, self, &data) != napi_ok) return;
    Handle* found = static_cast<Handle*>(data);
    if (found->open()) handle = found;
  }

  bool Integer(napi_env env, size_t index, int32_t* value) const {
    return napi_get_value_int32(env, arguments[index], value) == napi_ok;
  }

  napi_value arguments[N == 0 ? 1 : N] = {};
  Handle* handle = nullptr;
};

// bind(name: Uint8Array): number
napi_value Bind(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  size_t length = 0;
  const uint8_t* name = Bytes(env, call.arguments[0], 1, &length);
  return Number(env, name ? BindSocket(call.handle->fd(), name, length) : -EFAULT);
}

// connect(name: Uint8Array | null): number
napi_value Connect(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  size_t length = 0;
  const uint8_t* name = Bytes(env, call.arguments[0], 1, &length);
  int result = ConnectSocket(call.handle->fd(), name, length);
  call.handle->Connected(name != nullptr && result == 0);
  return Number(env, result);
}

// local(name: Uint8Array): number, the bytes of the name
napi_value Local(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  uint8_t* name = Bytes(env, call.arguments[0], kNameBytes);
  return Number(env, name ? LocalName(call.handle->fd(), name) : -EFAULT);
}

// remote(name: Uint8Array): number, the bytes of the name
napi_value Remote(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  uint8_t* name = Bytes(env, call.arguments[0], kNameBytes);
  return Number(env, name ? RemoteName(call.handle->fd(), name) : -EFAULT);
}

// setOption(level: number, option: number, value: Uint8Array): number
napi_value SetOptionCall(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  int32_t level;
  int32_t option;
  size_t length = 0;
  if (!call.Integer(env, 0, &level) || !call.Integer(env, 1, &option)) return Number(env, -EINVAL);
  const uint8_t* value = Bytes(env, call.arguments[2], 1, &length);
  return Number(env, value ? SetOption(call.handle->fd(), level, option, value, length) : -EFAULT);
}

// getOption(level: number, option: number, value: Uint8Array): number, the bytes of the value
napi_value GetOptionCall(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  int32_t level;
  int32_t option;
  size_t length = 0;
  if (!call.Integer(env, 0, &level) || !call.Integer(env, 1, &option)) return Number(env, -EINVAL);
  uint8_t* value = Bytes(env, call.arguments[2], 1, &length);
  return Number(env, value ? GetOption(call.handle->fd(), level, option, value, length) : -EFAULT);
}

// receive(): number. Reads messages into the shared receive batch. Returns their number, as kCountBits says.
napi_value Receive(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  Shared* shared = SharedOf(env);
  if (!shared->receive_batch) return Number(env, -EFAULT);
  int count = shared->receive_batch->Receive(call.handle->fd(), call.handle->peer(), *shared->error_queue);
  return Number(env, shared->receive_batch->more() ? count | 1 << kCountBits : count);
}

// send(payloads: Uint8Array, starts: Int32Array, lengths: Int32Array, from: number, count: number): number. Sends `count`
// datagrams from `from` on; their slots are in the shared array, from 0 on. Returns the number that
// were sent, as kSentBits says.
napi_value Send(napi_env env, napi_callback_info info) {
  Call<5> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  int32_t from;
  Datagrams datagrams;
  size_t room = 0;
  size_t starts = 0;
  size_t lengths = 0;
  Shared* shared = SharedOf(env);
  datagrams.payloads = Bytes(env, call.arguments[0], 0, &room);
  datagrams.starts = Numbers(env, call.arguments[1], 0, &starts);
  datagrams.lengths = Numbers(env, call.arguments[2], 0, &lengths);
  datagrams.slots = shared->slots;
  if (!datagrams.payloads || !datagrams.starts || !datagrams.lengths || !shared->send_batch) return Number(env, -EFAULT);
  if (!call.Integer(env, 3, &from) || !call.Integer(env, 4, &datagrams.count) || from < 0 || datagrams.count < 1 ||
      datagrams.count > kMaxMessages || static_cast<size_t>(from) + static_cast<size_t>(datagrams.count) > std::min(starts, lengths)) {
    return Number(env, -EINVAL);
  }
  datagrams.starts += from;
  datagrams.lengths += from;
  for (int i = 0; i < datagrams.count; i++) {
    int32_t start = datagrams.starts[i];
    int32_t length = datagrams.lengths[i];
    int32_t slot = datagrams.slots[i];
    if (start < 0 || length < 0 || slot < -1 || slot >= kMaxNames ||
        static_cast<size_t>(start) + static_cast<size_t>(length) > room) {
      return Number(env, -EINVAL);
    }
  }
  Handle& handle = *call.handle;
  handle.Watch();
  int sent = shared->send_batch->Send(handle.fd(), datagrams, handle.peer(), handle.segmentation(), handle.rejections(),
                                  *shared->error_queue);
  int above = shared->send_batch->refused() << kSentBits | shared->send_batch->rejected() << (kSentBits + kRefusedBits);
  return Number(env, sent < 0 ? sent - above : sent + above);
}

// errors(): number. Reads the socket's error queue into the shared one.
napi_value Errors(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  Shared* shared = SharedOf(env);
  if (!shared->error_queue) return Number(env, -EFAULT);
  shared->error_queue->DrainAll(call.handle->fd(), call.handle->peer());
  return Number(env, 0);
}

// pathMtu(name: Uint8Array): number
napi_value PathMtuCall(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  size_t length = 0;
  const uint8_t* name = Bytes(env, call.arguments[0], sizeof(sockaddr), &length);
  if (!name) return Number(env, -EFAULT);
  return Number(env, length < NameLength(name) ? -EINVAL : PathMtu(call.handle->fd(), name, length));
}

// setNumbers(options: Int32Array): number. Sets options to an int each: level, option and value of one after another. Stops at
// the first that fails.
napi_value SetNumbers(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  size_t length = 0;
  const int32_t* options = Numbers(env, call.arguments[0], 3, &length);
  if (!options) return Number(env, -EFAULT);
  int result = 0;
  for (size_t i = 0; i + 2 < length && result >= 0; i += 3) {
    result = SetOption(call.handle->fd(), options[i], options[i + 1], reinterpret_cast<const uint8_t*>(options + i + 2),
                       sizeof *options);
  }
  return Number(env, result);
}

// segment(on: boolean): void. Whether runs of equal datagrams may leave as one segmented send.
napi_value Segment(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  bool on = false;
  if (call.handle && napi_get_value_bool(env, call.arguments[0], &on) == napi_ok) call.handle->segmentation().Allow(on);
  return nullptr;
}

// prepare(): number. Puts the socket on the event loop, with the option that this needs.
napi_value Prepare(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  return Number(env, call.handle ? call.handle->Prepare() : -EBADF);
}

// poll(events: number): number
napi_value Poll(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  int32_t events;
  return Number(env, call.Integer(env, 0, &events) ? call.handle->Poll(events) : -EINVAL);
}

// keepAlive(on: boolean): void. Whether the socket keeps the process running.
napi_value KeepAlive(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  bool on = false;
  if (call.handle && napi_get_value_bool(env, call.arguments[0], &on) == napi_ok) call.handle->KeepAlive(on);
  return nullptr;
}

// close(): void
napi_value Close(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  if (call.handle) call.handle->Close();
  return nullptr;
}

}  // namespace

napi_value MethodsOf(napi_env env) {
  const napi_property_attributes fixed = napi_default_jsproperty;
  const napi_property_descriptor calls[] = {
      {"bind", nullptr, Bind, nullptr, nullptr, nullptr, fixed, nullptr},
      {"connect", nullptr, Connect, nullptr, nullptr, nullptr, fixed, nullptr},
      {"remote", nullptr, Remote, nullptr, nullptr, nullptr, fixed, nullptr},
      {"local", nullptr, Local, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setOption", nullptr, SetOptionCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setNumbers", nullptr, SetNumbers, nullptr, nullptr, nullptr, fixed, nullptr},
      {"getOption", nullptr, GetOptionCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"receive", nullptr, Receive, nullptr, nullptr, nullptr, fixed, nullptr},
      {"send", nullptr, Send, nullptr, nullptr, nullptr, fixed, nullptr},
      {"errors", nullptr, Errors, nullptr, nullptr, nullptr, fixed, nullptr},
      {"pathMtu", nullptr, PathMtuCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"segment", nullptr, Segment, nullptr, nullptr, nullptr, fixed, nullptr},
      {"prepare", nullptr, Prepare, nullptr, nullptr, nullptr, fixed, nullptr},
      {"poll", nullptr, Poll, nullptr, nullptr, nullptr, fixed, nullptr},
      {"keepAlive", nullptr, KeepAlive, nullptr, nullptr, nullptr, fixed, nullptr},
      {"close", nullptr, Close, nullptr, nullptr, nullptr, fixed, nullptr},
  };
  napi_value methods = nullptr;
  napi_create_object(env, &methods);
  napi_define_properties(env, methods, sizeof calls / sizeof *calls, calls);
  return methods;
}

napi_value Listen(napi_env env, napi_callback_info info) {
  napi_value callback;
  size_t count = 1;
  napi_valuetype type;
  if (napi_get_cb_info(env, info, &count, &callback, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_typeof(env, callback, &type) != napi_ok || type != napi_function ||
      !SharedOf(env)->handles->Listen(callback)) {
    return Number(env, -EINVAL);
  }
  return Number(env, 0);
}

napi_value Open(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  int32_t family;
  int32_t given;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 3 ||
      napi_get_value_int32(env, arguments[1], &family) != napi_ok ||
      napi_get_value_int32(env, arguments[2], &given) != napi_ok) {
    return Number(env, -EINVAL);
  }
  int fd = given < 0 ? OpenSocket(family) : AdoptSocket(given, family);
  if (fd < 0) return Number(env, fd);
  // If a given descriptor cannot be adopted, it still belongs to the program.
  auto give_back = given < 0 ? CloseSocket : DisownSocket;
  Handle* handle = new Handle(SharedOf(env)->handles, fd);
  if (!handle) {
    give_back(fd);
    return Number(env, -ENOMEM);
  }
  if (given >= 0) {
    int error = handle->Prepare();
    if (error != 0) {
      handle->Disown();
      give_back(fd);
      // Another handle of Node has the descriptor.
      return Number(env, error == UV_EEXIST ? -EBUSY : error);
    }
    handle->Connected(true);
  }
  if (handle->Wrap(arguments[0])) return Number(env, 0);
  handle->Forget();
  return Number(env, -EINVAL);
}

}  // namespace datagram
