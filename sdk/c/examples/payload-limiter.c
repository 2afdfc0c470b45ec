/*
 * Rejects messages whose payload is longer than MAX_BYTES. The C ABI hands over no config, so the limit is compiled in:
 * -DMAX_BYTES=1048576.
 */
#include "hookring_plugin.h"

#ifndef __wasm__
#include <stdlib.h>
#endif

#ifndef MAX_BYTES
#define MAX_BYTES 65536
#endif

/* All that the plugin keeps, reached through user_data. */
typedef struct Limiter {
  size_t max_bytes;
  char reason[96];
} Limiter;

static char *put_text(char *to, const char *text) {
  while (*text != '\0') *to++ = *text++;
  return to;
}

static char *put_number(char *to, uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0) *to++ = digits[--count];
  return to;
}

static int32_t on_message_enqueue(void *user_data, const CMessageEvent *event) {
  Limiter *limiter = user_data;
  if (event->payload_len <= limiter->max_bytes) return HOOK_CONTINUE;

  char *end = put_text(limiter->reason, "payload too large: ");
  end = put_number(end, event->payload_len);
  end = put_text(end, " > ");
  end = put_number(end, limiter->max_bytes);
  end = put_text(end, " bytes");
  *end = '\0';
  return HOOK_REJECT;
}

static const uint8_t *error_message(void *user_data) {
  Limiter *limiter = user_data;
  return (const uint8_t *)limiter->reason;
}

#ifdef __wasm__
/* Each lane has an instance of the module, with memory of its own. */
static Limiter *new_limiter(void) {
  static Limiter only;
  return &only;
}
#else
/* Lanes share a library's static memory: each is given a state of its own. */
static Limiter *new_limiter(void) { return malloc(sizeof(Limiter)); }

static void destroy(void *user_data) { free(user_data); }
#endif

HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  Limiter *limiter = new_limiter();
  if (limiter == NULL) return -1;
  limiter->max_bytes = MAX_BYTES;
  vtable->user_data = limiter;
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->error_message = error_message;
#ifndef __wasm__
  vtable->destroy = destroy;
#endif
  return PLUGIN_OK;
}
