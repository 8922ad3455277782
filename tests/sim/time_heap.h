// TimeHeap: what is due next, in a heap of four children a node. Equal times come in an order that depends only on what
// was pushed, so that a run can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace workpool::sim {

class TimeHeap {
 public:
  struct Item {
    double at;
    uint32_t id;
    uint32_t tag;
  };

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  const Item& top() const { return items_[0]; }
  void Clear() { items_.clear(); }

  void Push(double at, uint32_t id, uint32_t tag) {
    size_t hole = items_.size();
    items_.push_back({at, id, tag});
    while (hole > 0) {
      const size_t parent = (hole - 1) / 4;
      if (items_[parent].at <= at) break;
      items_[hole] = items_[parent];
      hole = parent;
    }
    items_[hole] = {at, id, tag};
  }

  Item Pop() {
    const Item first = items_[0], last = items_.back();
    items_.pop_back();
    const size_t size = items_.size();
    if (size == 0) return first;
    size_t hole = 0;
    for (;;) {
      const size_t child = 4 * hole + 1;
      if (child >= size) break;
      size_t least = child;
      const size_t end = child + 4 < size ? child + 4 : size;
      for (size_t i = child + 1; i < end; ++i) {
        if (items_[i].at < items_[least].at) least = i;
      }
      if (items_[least].at >= last.at) break;
      items_[hole] = items_[least];
      hole = least;
    }
    items_[hole] = last;
    return first;
  }

 private:
  std::vector<Item> items_;
};

}  // namespace workpool::sim
