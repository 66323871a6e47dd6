#include "handle.h"

namespace datagram {

Handle::Handle(napi_env env, napi_async_context context, int fd) : env_(env), context_(context), fd_(fd) {}

int Handle::Start(napi_value callback) {
  uv_loop_t* loop = nullptr;
  int error = napi_get_uv_event_loop(env_, &loop) == napi_ok ? uv_poll_init(loop, &poll_, fd_) : UV_EINVAL;
  if (error < 0) {
    // The caller owns the descriptor again.
    fd_ = -1;
    return error;
  }
  poll_.data = this;
  owners_++;
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  bool kept = napi_create_reference(env_, callback, 1, &callback_) == napi_ok &&
              napi_add_async_cleanup_hook(env_, OnCleanup, this, &hook_) == napi_ok;
  return kept ? 0 : UV_ENOMEM;
}

int Handle::Poll(int events) {
  wanted_ = events;
  if (events == 0 && !watching_) return uv_poll_stop(&poll_);
  return Start();
}

void Handle::Watch() {
  if (watching_) return;
  watching_ = true;
  if (wanted_ == 0) Start();
}

int Handle::Start() {
  // libuv reports a pending error as UV_PRIORITIZED. Without this flag, libuv would stop the handle at the error.
  int wanted = UV_PRIORITIZED;
  if (wanted_ & kReadable) wanted |= UV_READABLE;
  if (wanted_ & kWritable) wanted |= UV_WRITABLE;
  return uv_poll_start(&poll_, wanted, OnPoll);
}

void Handle::Connected(bool connected) {
  connected_ = connected && RemoteName(fd_, peer_) > 0;
  segmentation_.ForgetPeer();
}

void Handle::KeepAlive(bool on) {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (on) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void Handle::Close() {
  if (fd_ < 0) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), OnClosed);
  CloseSocket(fd_);
  fd_ = -1;
  napi_delete_reference(env_, callback_);
  callback_ = nullptr;
}

void Handle::Forget() {
  Close();
  Release();
}

void Handle::Release() {
  if (--owners_ == 0) delete this;
}

void Handle::CallBack(int events) {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value callback;
  napi_value argument;
  if (napi_get_reference_value(env_, callback_, &callback) == napi_ok &&
      napi_create_int32(env_, events, &argument) == napi_ok) {
    napi_value result;
    // Only napi_make_callback runs the microtasks after the callback. napi_call_function does not. The callback uses no
    // `this`, so any object will do.
    napi_status status = napi_make_callback(env_, context_, callback, callback, 1, &argument, &result);
    napi_value thrown;
    if (status == napi_pending_exception && napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) {
      napi_fatal_exception(env_, thrown);
    }
  }
  napi_close_handle_scope(env_, scope);
}

void Handle::OnPoll(uv_poll_t* poll, int status, int events) {
  Handle* self = static_cast<Handle*>(poll->data);
  int events_now = status < 0 ? kReadable | kWritable | kFailing : 0;
  if (events & UV_PRIORITIZED) events_now |= kFailing;
  if (events & UV_READABLE) events_now |= kReadable;
  if (events & UV_WRITABLE) events_now |= kWritable;
  if (events_now != 0) self->CallBack(events_now);
}

void Handle::OnClosed(uv_handle_t* handle) {
  Handle* self = static_cast<Handle*>(handle->data);
  napi_remove_async_cleanup_hook(self->hook_);
  self->Release();
}

void Handle::OnCleanup(napi_async_cleanup_hook_handle, void* data) { static_cast<Handle*>(data)->Close(); }

}  // namespace datagram
