// The addon: system calls for many datagrams at once. src/kernel/native/addon.ts declares its exports, which are here and in
// socket_calls.cc. A call returns 0 or a count, or a negative errno. handle.cc puts a socket on the event loop,
// receive_batch_linux.cc and send_batch_linux.cc make the system calls, segmentation.cc decides which datagrams leave as one
// segmented send, error_queue_linux.cc reads ICMP errors, crc32.cc computes checksums, chunks.cc takes chunks of messages, and
// layout.cc exports the numbers that TypeScript repeats.

#include <errno.h>
#include <string.h>

#include "calls.h"
#include "chunks.h"
#include "crc32.h"
#include "faults.h"
#include "layout.h"
#include "socket.h"

namespace datagram {
namespace {

// Must be raised whenever the calls change, so that JavaScript refuses an older build. Changes of the shared memory are found
// without it (layout.h), and JavaScript does without `crc32`, `crc32OfPieces`, `copyPieces` and `takeChunks`.
constexpr int kInterfaceVersion = 12;

// share(slab: Uint8Array, lengths: Int32Array, segments: Int32Array, pieceLengths: Int32Array, places: Int32Array,
//       sources: Uint8Array, metadata: Int32Array, slots: Int32Array, names: Int32Array, controls: Int32Array,
//       errors: Int32Array, errorNames: Uint8Array): number
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
  int32_t* places = Numbers(env, arguments[4], kMaxReceived);
  uint8_t* sources = Bytes(env, arguments[5], kMaxReceived * kNameBytes);
  int32_t* metadata = Numbers(env, arguments[6], kMaxReceived * sizeof(MessageMetadata) / kNumber);
  int32_t* slots = Numbers(env, arguments[7], kMaxMessages);
  int32_t* names = Numbers(env, arguments[8], kMaxNames * kNameBytes / kNumber);
  int32_t* controls = Numbers(env, arguments[9], kMaxMessages * sizeof(Control) / kNumber);
  int32_t* errors = Numbers(env, arguments[10], (sizeof(ErrorQueueHead) + kMaxIcmpErrors * sizeof(IcmpError)) / kNumber);
  uint8_t* error_names = Bytes(env, arguments[11], 2 * kMaxIcmpErrors * kNameBytes);
  if (!slab || !lengths || !segments || !piece_lengths || !places || !sources || !metadata || !slots || !names ||
      !controls || !errors || !error_names) {
    return Number(env, -EFAULT);
  }
  for (size_t i = 0; i < count; i++) {
    if (napi_create_reference(env, arguments[i], 1, &shared->arrays[i]) != napi_ok) return Number(env, -ENOMEM);
  }
  shared->slots = slots;
  shared->receive_batch =
      new ReceiveBatch(slab, lengths, segments, piece_lengths, places, sources, reinterpret_cast<MessageMetadata*>(metadata));
  shared->send_batch = new SendBatch(reinterpret_cast<uint8_t*>(names), reinterpret_cast<const Control*>(controls));
  shared->error_queue = new ErrorQueue(errors, error_names);
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

// setChunk(chunk: Uint8Array, from: number): number. Makes `chunk` the chunk, and copies the datagrams of the last receive to it,
// from message `from` on. JavaScript must keep a chunk until it has set another one.
napi_value SetChunk(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  int32_t from;
  Shared* shared = SharedOf(env);
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 2 || !shared->receive_batch ||
      napi_get_value_int32(env, arguments[1], &from) != napi_ok || from < 0) {
    return Number(env, -EINVAL);
  }
  size_t bytes = 0;
  uint8_t* chunk = Bytes(env, arguments[0], kChunkBytes, &bytes);
  if (!chunk) return Number(env, -EFAULT);
  shared->receive_batch->SetChunk(chunk, bytes, from);
  return Number(env, 0);
}

// The result of a call whose only argument is a descriptor.
napi_value OfDescriptor(napi_env env, napi_callback_info info, int (*call)(int fd)) {
  napi_value argument;
  size_t count = 1;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_int32(env, argument, &fd) != napi_ok) {
    return Number(env, -EINVAL);
  }
  return Number(env, call(fd));
}

// familyOf(fd: number): number. The family of a UDP socket; a negative errno says what else the descriptor is.
napi_value FamilyOf(napi_env env, napi_callback_info info) {
  return OfDescriptor(env, info, SocketFamily);
}

// duplicate(fd: number): number. Another descriptor of the same socket, or a negative errno.
napi_value Duplicate(napi_env env, napi_callback_info info) {
  return OfDescriptor(env, info, DuplicateSocket);
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

// crc32(bytes: Uint8Array, value: number): number. As of zlib, and as int32. `value` is the CRC of the bytes before.
napi_value Crc32Call(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  size_t length = 0;
  uint32_t value = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 2 ||
      napi_get_value_uint32(env, arguments[1], &value) != napi_ok) {
    return nullptr;
  }
  const uint8_t* bytes = Bytes(env, arguments[0], 0, &length);
  return length > 0 && !bytes ? nullptr : Number(env, static_cast<int32_t>(Crc32(value, bytes, length)));
}

// crc32OfPieces(bytes: Uint8Array, pieceBytes: number, crcs: Int32Array): number. The CRC of each piece, as many as `crcs` has. The
// last piece may be shorter. Returns 0.
napi_value Crc32OfPieces(napi_env env, napi_callback_info info) {
  napi_value arguments[3];
  size_t count = 3;
  size_t length = 0;
  size_t pieces = 0;
  uint32_t piece_bytes = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 3 ||
      napi_get_value_uint32(env, arguments[1], &piece_bytes) != napi_ok) {
    return Number(env, -EINVAL);
  }
  const uint8_t* bytes = Bytes(env, arguments[0], 0, &length);
  int32_t* crcs = Numbers(env, arguments[2], 0, &pieces);
  if ((!bytes && length > 0) || (!crcs && pieces > 0)) return Number(env, -EFAULT);
  for (size_t i = 0, at = 0; i < pieces; i++) {
    size_t piece = length - at < piece_bytes ? length - at : piece_bytes;
    crcs[i] = static_cast<int32_t>(Crc32(0, bytes + at, piece));
    at += piece;
  }
  return Number(env, 0);
}

// copyPieces(from: Uint8Array, fromStart: number, fromStride: number, to: Uint8Array, toStart: number, toStride: number,
//            pieceBytes: number, pieces: number): number. Copies pieces that start so many bytes apart. Returns 0, or -EFAULT if a
// piece is not in the memory, and then copies nothing.
napi_value CopyPieces(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  size_t count = 8;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 8) return Number(env, -EINVAL);
  uint64_t numbers[6];
  const int places[] = {1, 2, 4, 5, 6, 7};
  for (int i = 0; i < 6; i++) {
    uint32_t value = 0;
    if (napi_get_value_uint32(env, arguments[places[i]], &value) != napi_ok) return Number(env, -EINVAL);
    numbers[i] = value;
  }
  const auto [from_start, from_stride, to_start, to_stride, piece, pieces] = numbers;
  if (piece == 0 || pieces == 0) return Number(env, 0);
  size_t from_length = 0;
  size_t to_length = 0;
  const uint8_t* from = Bytes(env, arguments[0], 0, &from_length);
  uint8_t* to = Bytes(env, arguments[3], 0, &to_length);
  // The products of two 32-bit numbers and the sums with a third and a fourth fit 64 bits.
  if (!from || !to || from_start + (pieces - 1) * from_stride + piece > from_length ||
      to_start + (pieces - 1) * to_stride + piece > to_length) {
    return Number(env, -EFAULT);
  }
  for (uint64_t i = 0; i < pieces; i++) memcpy(to + to_start + i * to_stride, from + from_start + i * from_stride, piece);
  return Number(env, 0);
}

// takeChunks(datagrams: Uint8Array, start: number, segment: number, max: number, message: Uint8Array, arrived: Uint8Array,
//            shift: Int32Array, series: Int32Array): number. As TakeChunks, from byte `start` on. `series` is a ChunkSeries. Returns
// -EFAULT if the first `max` datagrams are not in the memory, or if `shift` or `series` is too short, and then changes nothing.
napi_value TakeChunksCall(napi_env env, napi_callback_info info) {
  napi_value arguments[8];
  size_t count = 8;
  uint32_t start = 0;
  uint32_t segment = 0;
  int32_t max = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count < 8 ||
      napi_get_value_uint32(env, arguments[1], &start) != napi_ok ||
      napi_get_value_uint32(env, arguments[2], &segment) != napi_ok ||
      napi_get_value_int32(env, arguments[3], &max) != napi_ok) {
    return Number(env, -EINVAL);
  }
  size_t bytes = 0;
  ChunkMemory memory = {};
  const uint8_t* datagrams = Bytes(env, arguments[0], 0, &bytes);
  memory.message = Bytes(env, arguments[4], 0, &memory.message_bytes);
  memory.arrived = Bytes(env, arguments[5], 0, &memory.arrived_bytes);
  const int32_t* shift = Numbers(env, arguments[6], kCrcShiftEntries);
  int32_t* series = Numbers(env, arguments[7], sizeof(ChunkSeries) / sizeof(int32_t));
  if (max <= 0) return Number(env, 0);
  // The product of two 32-bit numbers and its sum with a third fit 64 bits.
  if (!datagrams || !memory.message || !memory.arrived || !shift || !series ||
      uint64_t{start} + uint64_t{segment} * static_cast<uint32_t>(max) > bytes) {
    return Number(env, -EFAULT);
  }
  return Number(env, TakeChunks(datagrams + start, segment, max, memory, shift, reinterpret_cast<ChunkSeries*>(series)));
}

napi_value Init(napi_env env, napi_value exports) {
  Shared* shared = new Shared();
  napi_value name;
  if (!shared || napi_create_string_utf8(env, "datagram", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, nullptr, name, &shared->context) != napi_ok || !(shared->handles = new Handles(env)) ||
      !shared->handles->Start(shared->context)) {
    if (shared && shared->handles) shared->handles->Release();
    delete shared;
    napi_throw_error(env, "ENOMEM", "out of memory");
    return nullptr;
  }
  auto end = [](napi_env env, void* data, void*) {
    Shared* shared = static_cast<Shared*>(data);
    for (napi_ref array : shared->arrays) {
      if (array) napi_delete_reference(env, array);
    }
    shared->handles->End();
    napi_async_destroy(env, shared->context);
    delete shared->receive_batch;
    delete shared->send_batch;
    delete shared->error_queue;
    delete shared;
  };
  napi_set_instance_data(env, shared, end, nullptr);

  const napi_property_attributes fixed = napi_default_jsproperty;
  const napi_property_descriptor functions[] = {
      {"listen", nullptr, Listen, nullptr, nullptr, nullptr, fixed, nullptr},
      {"open", nullptr, Open, nullptr, nullptr, nullptr, fixed, nullptr},
      {"share", nullptr, Share, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setPiece", nullptr, SetPiece, nullptr, nullptr, nullptr, fixed, nullptr},
      {"copyPieces", nullptr, CopyPieces, nullptr, nullptr, nullptr, fixed, nullptr},
      {"setChunk", nullptr, SetChunk, nullptr, nullptr, nullptr, fixed, nullptr},
      {"familyOf", nullptr, FamilyOf, nullptr, nullptr, nullptr, fixed, nullptr},
      {"duplicate", nullptr, Duplicate, nullptr, nullptr, nullptr, fixed, nullptr},
      {"interfaceIndex", nullptr, InterfaceIndexCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"interfaceName", nullptr, InterfaceNameCall, nullptr, nullptr, nullptr, fixed, nullptr},
      {"version", nullptr, nullptr, nullptr, nullptr, Number(env, kInterfaceVersion), fixed, nullptr},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  if (HasCrc32()) {
    const napi_property_descriptor checksums[] = {
        {"crc32", nullptr, Crc32Call, nullptr, nullptr, nullptr, fixed, nullptr},
        {"crc32OfPieces", nullptr, Crc32OfPieces, nullptr, nullptr, nullptr, fixed, nullptr},
        {"takeChunks", nullptr, TakeChunksCall, nullptr, nullptr, nullptr, fixed, nullptr},
    };
    napi_define_properties(env, exports, sizeof checksums / sizeof *checksums, checksums);
  }
#ifdef DATAGRAM_FAULTS
  ExportFaults(env, exports);
#endif
  napi_set_named_property(env, exports, "methods", MethodsOf(env));
  // JavaScript refuses an addon without a layout.
  if (napi_value layout = LayoutOf(env)) napi_set_named_property(env, exports, "layout", layout);
  return exports;
}

}  // namespace
}  // namespace datagram

NAPI_MODULE(datagram, datagram::Init)
