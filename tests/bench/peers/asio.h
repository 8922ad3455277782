// Boost.Asio's thread_pool: post from outside, defer from inside (the children go to the running
// thread's own queue until the handler returns, the quicker of the two).
#pragma once

#include <boost/asio/defer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>
#include <string>

#include "bench/peers/subject.h"

namespace bench {

class AsioPool {
 public:
  static constexpr Can kCan{};
  static std::string Name() { return "Boost.Asio"; }
  static std::string Version() { return BOOST_LIB_VERSION; }

  struct Context {
    AsioPool* pool;
    template <class Task>
    void Spawn(void* arg) {
      boost::asio::defer(pool->pool_, [copy = *this, arg]() mutable { Task::Run(copy, arg); });
    }
  };

  class Producer {
   public:
    explicit Producer(AsioPool& pool) : pool_(pool) {}
    template <class Task>
    void Submit(void* arg) {
      boost::asio::post(pool_.pool_,
                        [context = Context{&pool_}, arg]() mutable { Task::Run(context, arg); });
    }
    void Finish() {}

   private:
    AsioPool& pool_;
  };

  explicit AsioPool(Setup setup) : pool_(setup.workers) {}
  ~AsioPool() { pool_.join(); }

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace bench
