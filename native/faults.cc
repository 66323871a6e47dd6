#include "faults.h"

#ifdef DATAGRAM_FAULTS

#include <errno.h>

#include "calls.h"

namespace datagram {
namespace {

// faults(outcomes: Int32Array): number. Plans the outcomes of the next system calls with which this thread sends. Returns the
// number of earlier outcomes that were not used.
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

}  // namespace

int Faults::Plan(const int32_t* outcomes, int count) {
  int unused = count_ - next_;
  for (int i = 0; i < count; i++) outcomes_[i] = outcomes[i];
  next_ = 0;
  count_ = count;
  return unused;
}

void ExportFaults(napi_env env, napi_value exports) {
  napi_value call = nullptr;
  if (napi_create_function(env, "faults", NAPI_AUTO_LENGTH, PlanFaults, nullptr, &call) != napi_ok) return;
  napi_set_named_property(env, exports, "faults", call);
}

}  // namespace datagram

#endif
