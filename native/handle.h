// A socket on a libuv loop: readiness, and a life that ends exactly once.
#pragma once

#include <node_api.h>
#include <uv.h>

#include "rejections.h"
#include "segmentation.h"
#include "socket.h"

namespace datagram {

// What `poll` asks for and the callback tells.
constexpr int kReadable = 1;
constexpr int kWritable = 2;
// Told alone: an error waits. It is watched for from the first send on.
constexpr int kFailing = 4;

// One socket. Two things own it: the JavaScript object, until it is collected, and libuv, from `Start` until the poll
// handle's close callback. An environment that ends closes it through the cleanup hook; the finalizer of the object
// may run after that or before.
class Handle {
 public:
  Handle(napi_env env, napi_async_context context, int fd);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Keeps `callback` until `Close`. Gives 0 or a negative errno, after which only `Forget` may be called.
  int Start(napi_value callback);
  // What the callback is told of, beside errors. Gives 0 or a negative errno.
  int Poll(int events);
  // From now on the callback is told of errors, whether it is told of anything else or not: unread ones would fill the
  // receive buffer.
  void Watch();
  void Hold(bool on);
  // Gives everything back; may be called twice.
  void Close();
  // The JavaScript object is gone.
  void Forget();

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  Segmentation& segmentation() { return segmentation_; }
  Rejections& rejections() { return rejections_; }
  // The socket has another peer now, or none.
  void Connected(bool connected);
  // The name of the connected peer; null where there is none.
  const uint8_t* peer() const { return connected_ ? peer_ : nullptr; }

 private:
  ~Handle() = default;
  void Release();
  int Start();
  void Tell(int events);
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
