// Begins, records, ends and pushes the batches of one simulator.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "headrace/connection/assignments.hpp"
#include "headrace/connection/client.hpp"
#include "headrace/recording/recorder.hpp"
#include "headrace/recording/step_result.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/errors.hpp"

namespace headrace {

/// Records for a simulator whose own code acts with the learner's policy.
///
/// Call `start_episode`; then, for each step, act with the policy that `policy` returns, and pass
/// the result to `record`. Batches begin when there is credit, end by themselves, and are pushed at
/// once.
class RecordingAgent {
 public:
  /// The client must outlive the agent.
  explicit RecordingAgent(Client& client, Clock clock = steady_clock())
      : client_(client), clock_(std::move(clock)) {}

  /// Returns how to reset the simulator for the episode that begins now; call it between episodes.
  ///
  /// Steps that were recorded under another assignment are pushed; later batches name the new task.
  ///
  /// Raises LocalProtocolError: the episode has not ended.
  Reset adopt_assignment() {
    if (recorder_ && recorder_->is_within_episode()) {
      throw LocalProtocolError("adopt_assignment() before an episode begins, not within it");
    }
    const auto assignment = client_.assignment();
    if (adoption_.is_behind(assignment)) flush();
    Reset reset = adoption_.adopt(assignment);
    task_ = reset.task;
    return reset;
  }

  /// Begins an episode with its first observation.
  void start_episode(const Array& observation) {
    observation_ = observation;
    if (recorder_) recorder_->start_episode(observation);
  }

  /// Returns the policy to take the next step with: the same one for all steps of a batch.
  ///
  /// Waits for the broker, the learner and credit; null means that time is up or that the client
  /// was closed. Without a timeout it waits for ever.
  ///
  /// Raises RefusedError: the broker will not serve this actor. Raises ConfigError: this agent
  /// cannot record what the learner asks for.
  std::shared_ptr<const PolicyUpdate> policy(std::optional<Seconds> timeout = std::nullopt) {
    if (!batch_) {
      auto permit = client_.begin(timeout);
      if (!permit) return nullptr;
      use(*permit->update);
      const TimePoint deadline = after(clock_(), Seconds(permit->credit.fragment_s));
      batch_ = OpenBatch{std::move(*permit), deadline};
    }
    return batch_->permit.update;
  }

  /// Records a step; see `Recorder::record`.
  ///
  /// Raises LocalProtocolError: `policy` was not called before, or a row does not fit.
  void record(const StepColumns& outputs, float reward, const Array& observation,
              Ending ending = {}) {
    if (!batch_) throw LocalProtocolError("policy() before record()");
    recorder_->record(outputs, reward, observation, ending);
    observation_ = observation;
    if (is_full()) deliver();
  }

  /// Forgets the open episode of a simulator that failed; call `start_episode` for the next one.
  ///
  /// Its steps in batches that were pushed stay pushed.
  void drop_episode() {
    if (recorder_) client_.count_broken(recorder_->drop_episode());
  }

  /// Pushes the steps of an open batch; call it before the client is closed.
  void flush() {
    if (batch_ && recorder_->env_steps() > 0) deliver();
  }

 private:
  struct OpenBatch {
    BatchPermit permit;
    TimePoint deadline;
  };

  void use(const PolicyUpdate& update) {
    if (recorder_ && update.digest == digest_) return;
    const auto& modules = update.policy->manifest.modules;
    if (modules.size() != 1 || modules.count(default_module) == 0) {
      throw ConfigError("this learner trains several modules; RecordingAgent supports only one");
    }
    recorder_.emplace(modules.at(default_module), clock_);
    recorder_->start_episode(observation_);
    digest_ = update.digest;
  }

  bool is_full() const {
    const PolicyUpdate& update = *batch_->permit.update;
    const bool is_cut = cuts_on_new_weights(update.policy->manifest.flow) &&
                        client_.newest_version() != update.version;
    return is_cut || recorder_->env_steps() >= batch_->permit.credit.fragment_steps ||
           clock_() >= batch_->deadline;
  }

  /// Pushes the batch, or discards it if it would be stale on arrival.
  ///
  /// It never discards two in a row: if all batches of a simulator are stale, the broker has to see
  /// that.
  void deliver() {
    const auto update = std::move(batch_->permit.update);
    batch_.reset();
    has_discarded_ = !has_discarded_ && client_.is_outdated(update->version);
    if (has_discarded_) {
      client_.count_unrecorded(recorder_->discard_batch());
      return;
    }
    const std::uint64_t env_steps = recorder_->env_steps();
    client_.push(recorder_->take_batch(), *update, env_steps, task_);
  }

  Client& client_;
  Clock clock_;
  Array observation_;
  std::string digest_;
  std::optional<Recorder> recorder_;
  std::optional<OpenBatch> batch_;
  bool has_discarded_ = false;
  Adoption adoption_;
  std::optional<std::string> task_;
};

}  // namespace headrace
