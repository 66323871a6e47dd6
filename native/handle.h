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

class Handle;

// The open sockets of one environment, and what they share. When the environment ends, a cleanup hook closes the sockets. The
// object is freed when the environment and every `Handle` have called `Release`.
class Handles : public OnHeap {
 public:
  explicit Handles(napi_env env) : env_(env) {}
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  // Must be called once, before the first socket. Returns false if that fails.
  bool Start(napi_async_context context);
  // Sets the function that receives the events of all sockets. `this` is the socket.
  bool Listen(napi_value callback);
  // The environment ends: its async context and its references are gone.
  void End();
  void Release();

 private:
  friend class Handle;
  ~Handles() = default;
  void PollClosed();
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* data);

  napi_env env_;
  napi_async_context context_ = nullptr;
  uv_loop_t* loop_ = nullptr;
  napi_ref callback_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  Handle* first_ = nullptr;
  int polls_ = 0;  // poll handles that libuv has not closed
  int users_ = 1;
  bool ending_ = false;
};

// One socket. It belongs to a JavaScript object, and is deleted when the garbage collector takes that. The object is kept from
// `Wrap` to `Close`, so that a socket that the program forgets stays open.
class Handle : public OnHeap {
 public:
  Handle(Handles* handles, int fd);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Makes `self` the JavaScript object of the socket. Returns false if that fails: then `Forget` or `Disown` must be called.
  bool Wrap(napi_value self);
  // Puts the socket on the loop. Returns 0 or a negative errno. `Poll` and `Watch` call it when they need it: a socket that
  // nobody waits for costs libuv nothing.
  int Prepare();
  // Sets the events that the callback receives, in addition to errors. Returns 0 or a negative errno.
  int Poll(int events);
  // From now on the callback receives errors, even if `Poll` asks for no event. Unread errors would fill the receive buffer.
  void Watch();
  // Whether the socket keeps the process running.
  void KeepAlive(bool on);
  // Closes the socket and frees its resources. May be called twice.
  void Close();
  // Closes the socket if it is open, and deletes this object.
  void Forget();
  // Deletes this object, which is not on the loop. The descriptor is the caller's.
  void Disown();

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  Segmentation& segmentation() { return segmentation_; }
  Rejections& rejections() { return rejections_; }
  // Must be called after each change of the peer. `connected` is false if there is none now.
  void Connected(bool connected);
  // The name of the connected peer; null if there is none.
  const uint8_t* peer() const { return connected_ ? peer_ : nullptr; }

 private:
  friend class Handles;
  ~Handle();
  int Start();
  void CallBack(int events);
  static void OnPoll(uv_poll_t* poll, int status, int events);
  static void OnClosed(uv_handle_t* poll);

  Handles* handles_;
  Handle* next_ = nullptr;  // in the list of open sockets
  Handle* previous_ = nullptr;
  napi_ref self_ = nullptr;
  // Made by `Prepare`. libuv frees it in the close callback, when this object may be gone.
  uv_poll_t* poll_ = nullptr;
  Segmentation segmentation_;
  Rejections rejections_;
  int wanted_ = 0;
  int fd_;
  bool watching_ = false;
  bool kept_alive_ = false;
  bool connected_ = false;
  uint8_t peer_[kNameBytes] = {};
};

}  // namespace datagram
