// Outcomes of system calls for tests of errors that no kernel causes on demand. Only an addon that is compiled with
// DATAGRAM_FAULTS has them: `npm run build:addon` builds it in addition, and the package does not contain it.
#pragma once

#include <cstdint>

#ifdef DATAGRAM_FAULTS
#include <node_api.h>
#endif

namespace datagram {

#ifdef DATAGRAM_FAULTS

// Planned outcomes of the next system calls that send, in place of the kernel's.
class Faults {
 public:
  static constexpr int kMaxOutcomes = 64;

  // Each of `count` outcomes is for one call. 0: the call is not changed. A negative errno: the call fails with it. A positive
  // number: the call sends at most this many messages. Returns the number of earlier outcomes that were not used.
  int Plan(const int32_t* outcomes, int count);
  int Next() { return next_ < count_ ? outcomes_[next_++] : 0; }

 private:
  int32_t outcomes_[kMaxOutcomes];
  int next_ = 0;
  int count_ = 0;
};

// Adds the call `faults` to the exports of the addon.
void ExportFaults(napi_env env, napi_value exports);

#else

// No call is changed. The compiler removes all that depends on it.
class Faults {
 public:
  static constexpr int Next() { return 0; }
};

#endif

}  // namespace datagram
