// A socket on a libuv loop: reports when it is ready, and is freed exactly once.
#pragma once

#include <node_api.h>
#include <uv.h>

#include "heap.h"
#include "rejections.h"
#include "segmentation.h"
#include "socket.h"

namespace datagram {

// The events that `Poll` asks for and that the callback receives.
constexpr int kReadable = 1;
constexpr int kWritable = 2;
// The callback receives it, but `Poll` does not take it: there is a pending error. Reported from the first send on.
constexpr int kFailing = 4;

// One socket. It has two owners: the JavaScript object, until the garbage collector takes it, and libuv, from `Start` until
// the close callback of the poll handle. When the environment ends, the cleanup hook closes the socket. The finalizer of the
// JavaScript object may run before or after the hook.
class Handle : public OnHeap {
 public:
  Handle(napi_env env, napi_async_context context, int fd);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Keeps `callback` until `Close`. Returns 0 or a negative errno. After an error, only `Forget` may be called.
  int Start(napi_value callback);
  // Sets the events that the callback receives, in addition to errors. Returns 0 or a negative errno.
  int Poll(int events);
  // From now on the callback receives errors, even if `Poll` asks for no event. Unread errors would fill the receive buffer.
  void Watch();
  // Whether the socket keeps the process running.
  void KeepAlive(bool on);
  // Closes the socket and frees its resources. May be called twice.
  void Close();
  // Ends the ownership of the JavaScript object. The socket is closed if it is open.
  void Forget();

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  Segmentation& segmentation() { return segmentation_; }
  Rejections& rejections() { return rejections_; }
  // Must be called after each change of the peer. `connected` is false if there is none now.
  void Connected(bool connected);
  // The name of the connected peer; null if there is none.
  const uint8_t* peer() const { return connected_ ? peer_ : nullptr; }

 private:
  ~Handle() = default;
  void Release();
  int Start();
  void CallBack(int events);
  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnClosed(uv_handle_t* handle);
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* data);

  napi_env env_;
  napi_async_context context_;
  napi_ref callback_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uv_poll_t poll_;
  Segmentation segmentation_;
  Rejections rejections_;
  bool connected_ = false;
  uint8_t peer_[kNameBytes] = {};
  int wanted_ = 0;
  bool watching_ = false;
  int fd_;
  int owners_ = 1;
};

}  // namespace datagram
