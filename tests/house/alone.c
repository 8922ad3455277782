/* A translation unit with nothing but the public header: it needs no other header before it. */
#include <workpool/workpool.h>

int main(void) { return POOL_OK; }
