// The exports of the addon, which src/kernel/native/addon.ts declares. A call returns 0 or a count, or a negative errno.

#include <errno.h>
#include <stdlib.h>

#include <algorithm>
#include <new>

#include "error_queue.h"
#include "handle.h"
#include "layout.h"
#include "send_batch.h"
#include "receive_batch.h"
#include "socket.h"

namespace datagram {
namespace {

// Must be raised whenever the calls change, so that JavaScript refuses an older build. Changes of the shared memory are found
// without it: layout.h.
constexpr int kInterfaceVersion = 8;

// What the sockets of one thread share. The arrays belong to JavaScript; `arrays` keeps them alive.
struct Shared {
  napi_async_context context = nullptr;
  ReceiveBatch* receive_batch = nullptr;
  SendBatch* send_batch = nullptr;
  ErrorQueue* error_queue = nullptr;
  const int32_t* slots = nullptr;  // kMaxMessages
  static constexpr size_t kArrays = 11;
  napi_ref arrays[kArrays] = {};
};

// The memory of a typed array. Null if `value` is no such array, or has fewer than `least` elements.
template <typename T>
T* View(napi_env env, napi_value value, napi_typedarray_type type, size_t least, size_t* length = nullptr) {
  bool is_typed_array = false;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return nullptr;
  napi_typedarray_type actual;
  size_t elements = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &actual, &elements, &data, nullptr, nullptr) != napi_ok) return nullptr;
  if (actual != type || elements < least) return nullptr;
  if (length != nullptr) *length = elements;
  return static_cast<T*>(data);
}

uint8_t* Bytes(napi_env env, napi_value value, size_t least, size_t* length = nullptr) {
  return View<uint8_t>(env, value, napi_uint8_array, least, length);
}

int32_t* Numbers(napi_env env, napi_value value, size_t least, size_t* length = nullptr) {
  return View<int32_t>(env, value, napi_int32_array, least, length);
}

napi_value Number(napi_env env, int value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

Shared* SharedOf(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Shared*>(data);
}

// The arguments of a call on a socket. `handle` is null if the socket is closed, or if `this` is no socket.
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
// datagrams from `from` on; their slots are in the shared array, from 0 on. Gives how many went, and what kSentBits says.
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
  shared->error_queue->Look(call.handle->fd(), call.handle->peer());
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

// segment(on: boolean): void. Whether runs of equal datagrams may leave as one segmented send.
napi_value Segment(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  bool on = false;
  if (call.handle && napi_get_value_bool(env, call.arguments[0], &on) == napi_ok) call.handle->segmentation().Allow(on);
  return nullptr;
}

// poll(events: number): number
napi_value Poll(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  if (!call.handle) return Number(env, -EBADF);
  int32_t events;
  return Number(env, call.Integer(env, 0, &events) ? call.handle->Poll(events) : -EINVAL);
}

// hold(on: boolean): void
napi_value Hold(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  bool on = false;
  if (call.handle && napi_get_value_bool(env, call.arguments[0], &on) == napi_ok) call.handle->Hold(on);
  return nullptr;
}

// close(): void
napi_value Close(napi_env env, napi_callback_info info) {
  Call<0> call(env, info);
  if (call.handle) call.handle->Close();
  return nullptr;
}

// open(self: object, family: number, callback: (events: number) => void, fd: number): number. Makes `self` the socket: that
// of a descriptor, or where it is negative a new one.
napi_value Open(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  size_t count = 4;
  int32_t family;
  int32_t given;
  napi_valuetype type;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 4 ||
      napi_get_value_int32(env, arguments[1], &family) != napi_ok ||
      napi_typeof(env, arguments[2], &type) != napi_ok || type != napi_function ||
      napi_get_value_int32(env, arguments[3], &given) != napi_ok) {
    return Number(env, -EINVAL);
  }
  int fd = given < 0 ? OpenSocket(family) : AdoptSocket(given, family);
  if (fd < 0) return Number(env, fd);
  // A descriptor that was given stays the program's when it cannot be adopted.
  auto give_back = given < 0 ? CloseSocket : DisownSocket;
  Handle* handle = new (std::nothrow) Handle(env, SharedOf(env)->context, fd);
  if (!handle) {
    give_back(fd);
    return Number(env, -ENOMEM);
  }
  int error = handle->Start(arguments[2]);
  if (!handle->open()) give_back(fd);
  // Node has the descriptor in a handle of its own.
  if (error == UV_EEXIST) error = -EBUSY;
  if (error == 0 && given >= 0) handle->Connected(true);
  auto forget = [](napi_env, void* data, void*) { static_cast<Handle*>(data)->Forget(); };
  if (error == 0 && napi_wrap(env, arguments[0], handle, forget, nullptr, nullptr) != napi_ok) error = -EINVAL;
  if (error != 0) handle->Forget();
  return Number(env, error);
}

// share(slab: Uint8Array, lengths: Int32Array, segments: Int32Array, pieceLengths: Int32Array, sources: Uint8Array,
//       metadata: Int32Array, slots: Int32Array, names: Int32Array, controls: Int32Array, errors: Int32Array,
//       errorNames: Uint8Array): number
napi_value Share(napi_env env, napi_callback_info info) {
  constexpr size_t kNumber = sizeof(int32_t);
  napi_value arguments[Shared::kArrays];
  size_t count = Shared::kArrays;
  Shared* shared = SharedOf(env);
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < Shared::kArrays ||
      shared->arrays[0]) {
    return Number(env, -EINVAL);
  }
  uint8_t* slab = Bytes(env, arguments[0], kMaxReceived * kSlotBytes);
  int32_t* lengths = Numbers(env, arguments[1], kMaxReceived);
  int32_t* segments = Numbers(env, arguments[2], kMaxReceived);
  int32_t* piece_lengths = Numbers(env, arguments[3], kMaxReceived);
  uint8_t* sources = Bytes(env, arguments[4], kMaxReceived * kNameBytes);
  int32_t* metadata = Numbers(env, arguments[5], kMaxReceived * sizeof(MessageMetadata) / kNumber);
  int32_t* slots = Numbers(env, arguments[6], kMaxMessages);
  int32_t* names = Numbers(env, arguments[7], kMaxNames * kNameBytes / kNumber);
  int32_t* controls = Numbers(env, arguments[8], kMaxMessages * sizeof(Control) / kNumber);
  int32_t* errors = Numbers(env, arguments[9], (sizeof(ErrorQueueHead) + kMaxIcmpErrors * sizeof(IcmpError)) / kNumber);
  uint8_t* error_names = Bytes(env, arguments[10], 2 * kMaxIcmpErrors * kNameBytes);
  if (!slab || !lengths || !segments || !piece_lengths || !sources || !metadata || !slots || !names || !controls ||
      !errors || !error_names) {
    return Number(env, -EFAULT);
  }
  for (size_t i = 0; i < count; i++) {
    if (napi_create_reference(env, arguments[i], 1, &shared->arrays[i]) != napi_ok) return Number(env, -ENOMEM);
  }
  shared->slots = slots;
  shared->receive_batch = new (std::nothrow)
      ReceiveBatch(slab, lengths, segments, piece_lengths, sources, reinterpret_cast<MessageMetadata*>(metadata));
  shared->send_batch = new (std::nothrow)
      SendBatch(reinterpret_cast<uint8_t*>(names), reinterpret_cast<const Control*>(controls));
  shared->error_queue = new (std::nothrow) ErrorQueue(errors, error_names);
  return Number(env, shared->receive_batch && shared->send_batch && shared->error_queue ? 0 : -ENOMEM);
}

// setPiece(index: number, piece: Uint8Array): number. Makes `piece` the piece `index`. JavaScript must keep a piece until it
// has set another one in its place.
napi_value SetPiece(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t index;
  Shared* shared = SharedOf(env);
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 2 || !shared->receive_batch ||
      napi_get_value_int32(env, arguments[0], &index) != napi_ok || index < 0 || index >= kMaxPieces) {
    return Number(env, -EINVAL);
  }
  uint8_t* piece = Bytes(env, arguments[1], kPieceBytes);
  if (!piece) return Number(env, -EFAULT);
  shared->receive_batch->SetPiece(index, piece);
  return Number(env, 0);
}

// faults(outcomes: Int32Array): number. Plans the outcomes of the system calls by which this thread sends next, as Faults
// has it; gives how many of those planned before were never met. For tests.
napi_value PlanFaults(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  size_t outcomes = 0;
  Shared* shared = SharedOf(env);
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 || !shared->send_batch) {
    return Number(env, -EINVAL);
  }
  const int32_t* plan = Numbers(env, argument, 0, &outcomes);
  // An empty array may have no memory.
  if (outcomes > Faults::kMaxOutcomes || (outcomes > 0 && !plan)) return Number(env, -EINVAL);
  return Number(env, shared->send_batch->faults().Plan(plan, static_cast<int>(outcomes)));
}

// familyOf(fd: number): number. The family of a UDP socket; a negative errno says what else the descriptor is.
napi_value FamilyOf(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok) {
    return Number(env, -EINVAL);
  }
  return Number(env, SocketFamily(fd));
}

// interfaceIndex(name: string): number, 0 if no interface has this name
napi_value InterfaceIndexCall(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  char name[64];
  size_t length = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, argument, name, sizeof name, &length) != napi_ok) {
    return Number(env, 0);
  }
  return Number(env, static_cast<int>(InterfaceIndex(name)));
}

// interfaceName(index: number): string, "" if no interface has this index
napi_value InterfaceNameCall(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  int32_t index = 0;
  char name[64] = "";
  napi_value result = nullptr;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) == napi_ok && count == 1 &&
      napi_get_value_int32(env, argument, &index) == napi_ok && !InterfaceName(static_cast<unsigned>(index), name)) {
    name[0] = '\0';
  }
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &result);
  return result;
}

// Has glibc keep up to 8 MiB of freed memory for this process. By default it returns all but 128 KiB to the system at each
// garbage collection, and the memory of the datagrams that come next is faulted in page by page, which costs more than
// receiving them. When a block of mmap is freed, glibc raises its trim threshold to twice the size of the block, unless the
// program has set one (mallopt(3), M_MMAP_THRESHOLD). Other libraries of C do nothing of the kind.
void KeepFreedMemory() {
  constexpr size_t kBytes = 4 << 20;
  // Volatile: a compiler may leave out a block that nobody uses.
  void* volatile block = malloc(kBytes);
  free(block);
}

napi_value Init(napi_env env, napi_value exports) {
  KeepFreedMemory();
  Shared* shared = new (std::nothrow) Shared();
  napi_value name;
  if (!shared || napi_create_string_utf8(env, "datagram", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, nullptr, name, &shared->context) != napi_ok) {
    delete shared;
    napi_throw_error(env, "ENOMEM", "out of memory");
    return nullptr;
  }
  auto end = [](napi_env env, void* data, void*) {
    Shared* shared = static_cast<Shared*>(data);
    for (napi_ref array : shared->arrays) {
      if (array) napi_delete_reference(env, array);
    }
    napi_async_destroy(env, shared->context);
    delete shared->receive_batch;
    delete shared->send_batch;
    delete shared->error_queue;
    delete shared;
  };
  napi_set_instance_data(env, shared, end, nullptr);

  const napi_property_attributes fixed = napi_default_jsproperty;
  const napi_property_descriptor functions[] = {
      {"open", nullptr, Open, nullptr, nullptr, nullptr, fixed, nullptr},
      {"share", nullptr, Share, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setPiece", nullptr, SetPiece, nullptr, nullptr, nullptr, fixed, nullptr},
      {"faults", nullptr, PlanFaults, nullptr, nullptr, nullptr, fixed, nullptr},
      {"familyOf", nullptr, FamilyOf, nullptr, nullptr, nullptr, fixed, nullptr},
      {"interfaceIndex", nullptr, InterfaceIndexCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"interfaceName", nullptr, InterfaceNameCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"version", nullptr, nullptr, nullptr, nullptr, Number(env, kInterfaceVersion), fixed, nullptr},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);

  napi_value methods;
  const napi_property_descriptor calls[] = {
      {"bind", nullptr, Bind, nullptr, nullptr, nullptr, fixed, nullptr},
      {"connect", nullptr, Connect, nullptr, nullptr, nullptr, fixed, nullptr},
      {"remote", nullptr, Remote, nullptr, nullptr, nullptr, fixed, nullptr},
      {"local", nullptr, Local, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setOption", nullptr, SetOptionCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"getOption", nullptr, GetOptionCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"receive", nullptr, Receive, nullptr, nullptr, nullptr, fixed, nullptr},
      {"send", nullptr, Send, nullptr, nullptr, nullptr, fixed, nullptr},
      {"errors", nullptr, Errors, nullptr, nullptr, nullptr, fixed, nullptr},
      {"pathMtu", nullptr, PathMtuCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"segment", nullptr, Segment, nullptr, nullptr, nullptr, fixed, nullptr},
      {"poll", nullptr, Poll, nullptr, nullptr, nullptr, fixed, nullptr},
      {"hold", nullptr, Hold, nullptr, nullptr, nullptr, fixed, nullptr},
      {"close", nullptr, Close, nullptr, nullptr, nullptr, fixed, nullptr},
  };
  napi_create_object(env, &methods);
  napi_define_properties(env, methods, sizeof calls / sizeof *calls, calls);
  napi_set_named_property(env, exports, "methods", methods);
  // JavaScript refuses an addon without a layout.
  if (napi_value layout = LayoutOf(env)) napi_set_named_property(env, exports, "layout", layout);
  return exports;
}

}  // namespace
}  // namespace datagram

NAPI_MODULE(datagram, datagram::Init)
