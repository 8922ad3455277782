/* Prints docs/options.md: what the library says of the options of a pool. Each preset is told by what a pool that was made
 * with it says, where that is not the default. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <workpool/workpool.h>

static void must(pool_status_t status) {
  char text[320];
  if (status == POOL_OK) return;
  pool_last_error(NULL, text, sizeof(text), NULL);
  fprintf(stderr, "%s\n", text);
  exit(1);
}

static void print_preset(const char *preset) {
  pool_options_t options;
  pool_option_t option;
  pool_t pool = 0;
  uint32_t i;
  const char *gap = "";
  must(pool_options_init(&options, sizeof(options)));
  must(pool_options_preset(&options, preset));
  must(pool_create(&options, &pool));
  printf("| `%s` | ", preset);
  for (i = 0; pool_option_list(i, &option, sizeof(option)) == POOL_OK; ++i) {
    char value[64];
    must(pool_get(pool, option.name, value, sizeof(value), NULL));
    if (strcmp(value, option.default_value) == 0) continue;
    printf("%s`%s = %s`", gap, option.name, value);
    gap = ", ";
  }
  printf(" |\n");
  must(pool_destroy(pool));
}

int main(void) {
  static const char *const kTypes[] = {"number", "time in ms", "choice"};
  pool_option_t option;
  uint32_t i;
  printf("# The options of a pool by name\n\n"
         "Written by `tests/house/list_options.c` from what the library itself says; a test compares the two.\n\n"
         "`pool_options_set(&options, name, value)` sets one before `pool_create`, `pool_set(pool, name, value)` a live one\n"
         "in a pool that runs, `pool_get` reads one, `pool_option_list` lists them all. Numbers are written in digits, times\n"
         "in milliseconds with at most six decimals. Each is the field of `pool_options_t` of the same name (times: `_ns`\n"
         "there). The pool's name, functions and user pointers are set in the struct only.\n\n");
  printf("| option | kind | default | range | live | meaning |\n|---|---|---|---|---|---|\n");
  for (i = 0; pool_option_list(i, &option, sizeof(option)) == POOL_OK; ++i) {
    printf("| `%s` | %s | `%s` | `%s` | %s | %s |\n", option.name, kTypes[option.type], option.default_value,
           option.range, option.live != 0 ? "yes" : "", option.doc);
  }
  printf("\n## Presets\n\n"
         "`pool_options_preset(&options, preset)` sets several; what it leaves at its default is not shown.\n\n"
         "| preset | options |\n|---|---|\n");
  print_preset("cpu");
  print_preset("io");
  print_preset("batch");
  return 0;
}
