// What is done at the end of a scope however that comes about: also if a callback ends the thread.
#pragma once

namespace workpool {

template <typename Body>
class Finally {
 public:
  explicit Finally(Body body) : body_(body) {}
  ~Finally() { body_(); }
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;

 private:
  Body body_;
};

}  // namespace workpool
