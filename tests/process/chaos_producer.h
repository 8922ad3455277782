// A thread of a chaos run (chaos.cc) that submits tasks of all kinds, by its seed, and cancels, waits for and gives back
// what it has in hand.
#pragma once

#include <random>

#include "chaos_jobs.h"

namespace chaos {

class Producer {
 public:
  // only: tasks of this kind; kChild: of all kinds.
  Producer(Round& round, uint32_t index, uint64_t seed, Kind only)
      : round_(round), index_(index), only_(only), numbers_(seed * 1000 + index) {}

  void Produce() {
    while (!round_.stop && !closed_) {
      round_.Throttle();
      const Kind kind = only_ == Kind::kChild ? AnyKind() : only_;
      if (!SubmitOne(kind)) break;
      if (tickets_.size() >= 64) Settle(Below(static_cast<uint32_t>(tickets_.size())));
    }
    while (!tickets_.empty()) Settle(tickets_.size() - 1);
    EndGroup();
    for (pool_token_t& token : tokens_) EndToken(token);
  }

 private:
  struct Ticket {
    pool_ticket_t ticket;
    Job* job;
  };

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(numbers_() % bound); }
  bool Percent(uint32_t percent) { return Below(100) < percent; }

  Kind AnyKind() {
    // In percent, in the order of the kinds.
    constexpr uint8_t kWeights[] = {15, 2, 12, 1, 9, 6, 6, 7, 8, 5, 2, 8, 5, 3, 3, 1, 2, 1, 4};
    static_assert(std::size(kWeights) == kKinds - 1);
    uint32_t number = Below(100);
    for (size_t i = 0; i < std::size(kWeights); ++i) {
      if (number < kWeights[i]) return static_cast<Kind>(i);
      number -= kWeights[i];
    }
    return Kind::kPlain;
  }

  Job* Make(Kind kind) {
    Job* job = round_.arena.Take(false);
    if (job == nullptr) return nullptr;
    job->round = &round_;
    job->kind = kind;
    job->throws = Percent(5);
    job->slow = Percent(10);
    // Plain tasks never run on a submitter's thread.
    job->exits = kind == Kind::kPlain && !round_.throttled && Below(2'000) == 0;
    return job;
  }

  pool_task_t TaskOf(Job& job) {
    pool_task_t task = Task(Run, &job);
    task.done = Done;
    task.drop = Drop;
    job.told = true;
    if (round_.priorities && Percent(30)) task.priority = round_.lanes ? static_cast<int32_t>(Below(3)) - 1 : static_cast<int32_t>(numbers_());
    if (Percent(10)) task.name = "chaos";
    if (Percent(20)) task.cost_bytes = Below(100'000);
    job.prompt = task.priority == 0;
    return task;
  }

  // False: the arena is used up, or the pool closed.
  bool SubmitOne(Kind kind) {
    if (kind == Kind::kArray || kind == Kind::kBatch) return SubmitMany(kind);
    Job* job = Make(kind);
    if (job == nullptr) return false;
    if (kind == Kind::kPlain) return Submitted(*job, pool_submit(round_.pool, Run, job));
    pool_task_t task = TaskOf(*job);
    bool ticket = kind == Kind::kTicket || kind == Kind::kCancel || kind == Kind::kPeriod;
    switch (kind) {
      case Kind::kToken:
        SetToken(task, *job);
        ticket = Percent(10);
        break;
      case Kind::kGroup:
        if (members_.size() >= 64) EndGroup();
        if (group_ == 0 && pool_group_create(round_.pool, nullptr, &group_) != POOL_OK) {
          return Submitted(*job, POOL_E_CLOSED);
        }
        members_.push_back(job);
        job->joins = true;
        if (Percent(30)) {
          job->told = job->prompt = false;
          return Submitted(*job, pool_group_submit(group_, Run, job));
        }
        task.group = group_;
        break;
      case Kind::kKey:
        // Keys of its own, so that it knows their order.
        job->key = static_cast<uint16_t>(Below(kKeys / 4) * 4 + index_);
        job->sequence = ++sequence_;
        job->prompt = false;
        task.key = job->key + 1u;
        break;
      case Kind::kClass:
      case Kind::kRate:
        task.class_id = kind == Kind::kClass ? 1 : 2;
        job->prompt = false;
        break;
      case Kind::kCompletion:
        SetCompletions(task, *job);
        ticket = Percent(10);
        break;
      case Kind::kDeadline:
        SetDeadline(task, *job);
        break;
      case Kind::kDelay:
        task.delay_ns = Below(5'000'000);
        job->prompt = false;
        break;
      case Kind::kRetry:
        task.retries_max = 1 + Below(4);
        job->failures = static_cast<uint8_t>(1 + Below(5));
        task.backoff_first_ns = 1 + Below(1'000'000);
        task.backoff_max_ns = 3'000'000;
        task.retry_on = Percent(50) ? POOL_RETRY_ON_FAILURE : POOL_RETRY_ON_REQUEST;
        ticket = Percent(30);
        job->prompt = false;
        break;
      case Kind::kPeriod:
        task.period_ns = 200'000 + Below(2'000'000);
        task.period_mode = Percent(50) ? POOL_PERIOD_FIXED_DELAY : POOL_PERIOD_FIXED_RATE;
        job->failures = static_cast<uint8_t>(1 + Below(20));
        job->prompt = false;
        break;
      case Kind::kParent:
        job->children = static_cast<uint8_t>(Below(5));
        break;
      case Kind::kOverrun:
        task.run_timeout_ns = 1 + Below(200'000);
        break;
      case Kind::kFull:
        task.on_full = POOL_ON_FULL_REJECT + static_cast<int32_t>(Below(5));
        if (task.on_full == POOL_ON_FULL_BLOCK) task.submit_timeout_ns = kBoundNs;
        job->prompt = false;
        break;
      default:
        break;
    }
    // In the parts that are measured each kind is for itself.
    if (!round_.throttled && Percent(10)) SetToken(task, *job);
    if (!round_.throttled && Percent(10)) SetCompletions(task, *job);
    if (!round_.throttled && Percent(5)) SetDeadline(task, *job);
    pool_ticket_t out = 0;
    const bool going = Submitted(*job, pool_submit_task(round_.pool, &task, ticket ? &out : nullptr));
    if (job->accepted && ticket) tickets_.push_back({out, job});
    return going;
  }

  void SetToken(pool_task_t& task, Job& job) {
    task.token = AnyToken();
    job.joins = true;
  }
  void SetCompletions(pool_task_t& task, Job& job) {
    task.cq = round_.completions;
    job.completes = true;
  }
  void SetDeadline(pool_task_t& task, Job& job) {
    if (Percent(50)) {
      task.deadline_ns = pool_now_ns() + Below(3'000'000);
    } else {
      task.queue_timeout_ns = 1 + Below(3'000'000);
    }
    job.prompt = false;
    job.expires = true;
  }

  bool Submitted(Job& job, pool_status_t status) {
    closed_ = !round_.Submitted(job, status);
    return !closed_;
  }

  bool SubmitMany(Kind kind) {
    constexpr uint32_t kMany = 16;
    Job* jobs[kMany];
    void* args[kMany];
    pool_task_t tasks[kMany];
    for (uint32_t i = 0; i < kMany; ++i) {
      args[i] = jobs[i] = Make(kind);
      if (jobs[i] == nullptr) return false;
      if (kind == Kind::kBatch) tasks[i] = TaskOf(*jobs[i]);
    }
    uint32_t accepted = 0;
    const pool_status_t status =
        kind == Kind::kArray ? pool_submit_many(round_.pool, Run, args, kMany, &accepted)
                             : pool_submit_batch(round_.pool, tasks, sizeof(pool_task_t), kMany, nullptr, &accepted);
    for (uint32_t i = 0; i < kMany; ++i) (void)Submitted(*jobs[i], i < accepted ? POOL_OK : status);
    return !closed_;
  }

  // What becomes of a ticket: it is cancelled, waited for, with help or without, or just given back.
  void Settle(size_t index) {
    const Ticket ticket = tickets_[index];
    tickets_[index] = tickets_.back();
    tickets_.pop_back();
    Job& job = *ticket.job;
    const uint32_t what = Below(100);
    if (job.kind == Kind::kCancel || job.kind == Kind::kPeriod ? what < 90 : what < 10) {
      const pool_status_t status = pool_cancel(ticket.ticket);
      if (status == POOL_OK) {
        if (job.drops != 1) Complain("cancelled, and its drop was not called");
        const bool fits = job.outcome == POOL_CANCELLED || (job.kind == Kind::kPeriod && job.outcome == POOL_DONE);
        if (!fits) Complain("cancelled, and its outcome is %d", job.outcome.load());
      } else if (status != POOL_E_ALREADY) {
        Complain("cancel: %s", pool_strerror(status));
      }
    }
    if (what % 20 == 0 && job.kind != Kind::kPeriod) {
      pool_result_t result;
      const pool_status_t status =
          pool_wait(ticket.ticket, what % 40 == 0 ? POOL_WAIT_HELP : 0, kBoundNs, &result, sizeof(result));
      if (status != POOL_OK) Complain("a wait for kind %s: %s", kKindNames[static_cast<size_t>(job.kind)], pool_strerror(status));
      if (status == POOL_OK && (job.drops != 1 || job.outcome != result.outcome)) Complain("a wait does not fit the drop");
    }
    if (pool_ticket_release(ticket.ticket) != POOL_OK) Complain("a ticket cannot be given back");
  }

  void EndGroup() {
    if (group_ == 0) return;
    if (Percent(15)) Must(pool_group_cancel(group_), "pool_group_cancel");
    if (Percent(25)) {
      int32_t code = 0;
      if (pool_group_wait(group_, kBoundNs, &code) != POOL_OK) Complain("a wait for a group takes too long");
      for (const Job* job : members_) {
        if (job->accepted && job->drops != 1) Complain("a group was waited for, and a member was not dropped");
      }
    }
    Must(pool_group_release(std::exchange(group_, 0)), "pool_group_release");
    members_.clear();
  }

  // One of three, of which one is a child of another; now and then they are cancelled, or just given back.
  pool_token_t AnyToken() {
    const uint32_t index = Below(3);
    pool_token_t& token = tokens_[index];
    if (token != 0 && Percent(3)) EndToken(token);
    if (token == 0) Must(pool_token_create(index == 2 ? tokens_[1] : 0, &token), "pool_token_create");
    return token;
  }
  void EndToken(pool_token_t& token) {
    if (token == 0) return;
    if (Percent(70)) Must(pool_token_cancel(token, Percent(50) ? -2000 : 0), "pool_token_cancel");
    Must(pool_token_release(std::exchange(token, 0)), "pool_token_release");
  }

  Round& round_;
  const uint32_t index_;
  const Kind only_;
  std::mt19937_64 numbers_;
  bool closed_ = false;
  uint32_t sequence_ = 0;
  std::vector<Ticket> tickets_;
  pool_group_t group_ = 0;
  std::vector<Job*> members_;
  pool_token_t tokens_[3] = {};
};

}  // namespace chaos
