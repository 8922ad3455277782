// The name under which the header is installed, for builds in the source tree.
#include "../workpool.hpp"
