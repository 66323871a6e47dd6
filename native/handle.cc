#include "handle.h"

#include <stdlib.h>

namespace datagram {

bool Handles::Start(napi_async_context context) {
  context_ = context;
  return napi_get_uv_event_loop(env_, &loop_) == napi_ok &&
         napi_add_async_cleanup_hook(env_, OnCleanup, this, &hook_) == napi_ok;
}

bool Handles::Listen(napi_value callback) {
  return callback_ == nullptr && napi_create_reference(env_, callback, 1, &callback_) == napi_ok;
}

void Handles::End() {
  if (callback_) napi_delete_reference(env_, callback_);
  callback_ = nullptr;
  Release();
}

void Handles::Release() {
  if (--users_ == 0) delete this;
}

void Handles::PollClosed() {
  polls_--;
  if (ending_ && polls_ == 0) napi_remove_async_cleanup_hook(hook_);
  Release();
}

void Handles::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  Handles* self = static_cast<Handles*>(data);
  self->ending_ = true;
  while (self->first_) self->first_->Close();
  if (self->polls_ == 0) napi_remove_async_cleanup_hook(hook);
}

Handle::Handle(Handles* handles, int fd) : handles_(handles), next_(handles->first_), fd_(fd) {
  if (next_) next_->previous_ = this;
  handles->first_ = this;
  handles->users_++;
}

Handle::~Handle() { handles_->Release(); }

bool Handle::Wrap(napi_value self) {
  auto forget = [](napi_env, void* data, void*) { static_cast<Handle*>(data)->Forget(); };
  if (napi_wrap(handles_->env_, self, this, forget, nullptr, &self_) != napi_ok) return false;
  napi_reference_ref(handles_->env_, self_, nullptr);
  return true;
}

int Handle::Prepare() {
  if (poll_) return 0;
  int error = SelectErrors(fd_);
  if (error != 0) return error;
  uv_poll_t* poll = static_cast<uv_poll_t*>(malloc(sizeof *poll));
  if (!poll) return UV_ENOMEM;
  error = uv_poll_init(handles_->loop_, poll, fd_);
  if (error < 0) {
    free(poll);
    return error;
  }
  poll->data = this;
  poll_ = poll;
  handles_->polls_++;
  handles_->users_++;
  KeepAlive(kept_alive_);
  return 0;
}

int Handle::Poll(int events) {
  wanted_ = events;
  if (events != 0 || watching_) return Start();
  return poll_ ? uv_poll_stop(poll_) : 0;
}

void Handle::Watch() {
  if (watching_) return;
  watching_ = true;
  if (wanted_ == 0) Start();
}

int Handle::Start() {
  int error = Prepare();
  if (error != 0) return error;
  // libuv reports a pending error as UV_PRIORITIZED. Without this flag, libuv would stop the handle at the error.
  int wanted = UV_PRIORITIZED;
  if (wanted_ & kReadable) wanted |= UV_READABLE;
  if (wanted_ & kWritable) wanted |= UV_WRITABLE;
  return uv_poll_start(poll_, wanted, OnPoll);
}

void Handle::Connected(bool connected) {
  connected_ = connected && RemoteName(fd_, peer_) > 0;
  segmentation_.ForgetPeer();
}

void Handle::KeepAlive(bool on) {
  kept_alive_ = on;
  if (!poll_) return;
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(poll_);
  if (on) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

void Handle::Close() {
  if (fd_ < 0) return;
  if (poll_) {
    poll_->data = handles_;
    uv_close(reinterpret_cast<uv_handle_t*>(poll_), OnClosed);
    poll_ = nullptr;
  }
  CloseSocket(fd_);
  fd_ = -1;
  (previous_ ? previous_->next_ : handles_->first_) = next_;
  if (next_) next_->previous_ = previous_;
  // The garbage collector may take the JavaScript object now.
  if (self_) napi_reference_unref(handles_->env_, self_, nullptr);
}

void Handle::Forget() {
  Close();
  if (self_) napi_delete_reference(handles_->env_, self_);
  delete this;
}

void Handle::Disown() {
  (previous_ ? previous_->next_ : handles_->first_) = next_;
  if (next_) next_->previous_ = previous_;
  delete this;
}

void Handle::CallBack(int events) {
  napi_env env = handles_->env_;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback;
  napi_value self;
  napi_value argument;
  if (napi_get_reference_value(env, handles_->callback_, &callback) == napi_ok &&
      napi_get_reference_value(env, self_, &self) == napi_ok && napi_create_int32(env, events, &argument) == napi_ok) {
    napi_value result;
    // Only napi_make_callback runs the microtasks after the callback. napi_call_function does not.
    napi_status status = napi_make_callback(env, handles_->context_, self, callback, 1, &argument, &result);
    napi_value thrown;
    if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &thrown) == napi_ok) {
      napi_fatal_exception(env, thrown);
    }
  }
  napi_close_handle_scope(env, scope);
}

void Handle::OnPoll(uv_poll_t* poll, int status, int events) {
  Handle* self = static_cast<Handle*>(poll->data);
  int events_now = status < 0 ? kReadable | kWritable | kFailing : 0;
  if (events & UV_PRIORITIZED) events_now |= kFailing;
  if (events & UV_READABLE) events_now |= kReadable;
  if (events & UV_WRITABLE) events_now |= kWritable;
  if (events_now != 0) self->CallBack(events_now);
}

void Handle::OnClosed(uv_handle_t* poll) {
  Handles* handles = static_cast<Handles*>(poll->data);
  free(poll);
  handles->PollClosed();
}

}  // namespace datagram
