/*
 * A plugin that does what the event says, for tests of both runtimes. A message's seq is the act, its payload_len the
 * argument; in the other events it is a name or a byte that says to trap. What hooks have seen is kept as text, and told
 * with the act SHOWS_LAST; the ends of its life are told at once: to the log, or to the file TRAIL.
 */
#include "hookring_plugin.h"

#ifndef __wasm__
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#endif

#ifndef INIT_CODE
#define INIT_CODE PLUGIN_OK
#endif

enum {
  CONTINUES = 0,
  REJECTS = 1,
  REJECTS_WITHOUT_REASON = 2,
  REASON_OUTSIDE = 3,
  REASON_UNTERMINATED = 4,
  TRAPS = 5,
  READS_OUTSIDE = 6,
  DIVIDES_BY_ZERO = 7,
  OVERFLOWS_STACK = 8,
  CALLS_NOTHING = 9,
  CALLS_ANOTHER_TYPE = 10,
  LOOPS = 11,
  BLOCKS_MS = 12,
  SCRIBBLES = 13,
  GROWS_PAGES = 14,
  SHOWS = 15,
  RETURNS = 16,
  LONG_REASON = 17,
  BAD_UTF8 = 18,
  COUNTS = 19,
  LOGS = 20,
  TRAPS_IN_ERROR_MESSAGE = 21,
  TRAPS_AT_SHUTDOWN = 22,
  TRAPS_AT_DESTROY = 23,
  LOOPS_AT_DESTROY = 24,
  SHOWS_LAST = 25,
  EMPTY_REASON = 26,
  LOGS_OUTSIDE = 27,
  READS_CLOCK = 28,
};

typedef struct State {
  uint32_t tag;
  uint32_t calls;
  uint32_t ending;
  const uint8_t *reason;
  char text[16384];
  char *end;
} State;

static void trap(void) { __builtin_trap(); }

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

static char *put_hex(char *to, const uint8_t *bytes, size_t len) {
  static const char hex[] = "0123456789abcdef";
  size_t i;
  if (bytes == NULL) to = put_text(to, "null");
  for (i = 0; i < len; i++) {
    *to++ = hex[bytes[i] >> 4];
    *to++ = hex[bytes[i] & 15];
  }
  *to++ = '/';
  return put_number(to, len);
}

/* As it stands, and whether a null ends it. */
static char *put_string(char *to, const uint8_t *text, size_t len) {
  size_t i;
  for (i = 0; i < len && i < 200; i++) *to++ = (char)text[i];
  *to++ = '/';
  to = put_number(to, len);
  return put_text(to, text[len] == 0 ? "" : " unterminated");
}

static char *put_message(char *to, const CMessageEvent *event) {
  to = put_hex(to, event->sender_identity, event->sender_identity_len);
  to = put_text(to, " ");
  to = put_hex(to, event->recipient_key, event->recipient_key_len);
  to = put_text(to, " ");
  to = put_hex(to, event->channel_id, event->channel_id_len);
  to = put_text(to, " ");
  to = put_number(to, event->payload_len);
  to = put_text(to, " ");
  return put_number(to, event->seq);
}

static void tell(State *state, const char *what) {
#ifdef __wasm__
  size_t len = 0;
  (void)state;
  while (what[len] != '\0') len++;
  hookring_log(HOOKRING_INFO, what, len);
#else
  (void)state;
#ifdef TRAIL
  FILE *trail = fopen(TRAIL, "a");
  if (trail == NULL) abort();
  fprintf(trail, "%s\n", what);
  fclose(trail);
#else
  (void)what;
#endif
#endif
}

static double now_ms(void) {
#ifdef __wasm__
  return hookring_clock_ms();
#else
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
#endif
}

static int32_t reject_with(State *state, char *end) {
  *end = '\0';
  state->reason = (const uint8_t *)state->text;
  return HOOK_REJECT;
}

#ifdef __wasm__
static int overflow(int depth);
static int (*volatile again)(int) = overflow;
static int overflow(int depth) { return again(depth + 1) ^ depth; }

static int32_t outrage(State *state, uint64_t act, size_t argument) {
  switch (act) {
    case READS_OUTSIDE:
      return *(volatile int32_t *)0xfffffff0u;
    case DIVIDES_BY_ZERO: {
      volatile int zero = 0;
      return 1000 / zero;
    }
    case OVERFLOWS_STACK:
      return overflow(1);
    case CALLS_NOTHING: {
      void (*volatile nothing)(void) = (void (*)(void))99999;
      nothing();
      return 0;
    }
    case CALLS_ANOTHER_TYPE: {
      double (*volatile other)(double) = (double (*)(double))(void *)trap;
      return (int32_t)other(1.0);
    }
    case REASON_OUTSIDE:
      state->reason = (const uint8_t *)(__builtin_wasm_memory_size(0) * 65536 + argument);
      return HOOK_REJECT;
    case REASON_UNTERMINATED: {
      volatile uint8_t *end = (volatile uint8_t *)(__builtin_wasm_memory_size(0) * 65536);
      size_t i;
      for (i = 1; i <= 16; i++) end[-i] = 'x';
      state->reason = (const uint8_t *)(end - 16);
      return HOOK_REJECT;
    }
    case SCRIBBLES: {
      /* Every byte of its memory, the host's pages and this stack included. */
      volatile uint8_t *byte = (volatile uint8_t *)0;
      size_t bytes = __builtin_wasm_memory_size(0) * 65536;
      __builtin_memset((void *)byte, (int)argument, bytes);
      return argument == 0 ? HOOK_CONTINUE : HOOK_REJECT;
    }
    case GROWS_PAGES: {
      char *end = put_text(state->text, "grew from ");
      end = put_number(end, (uint64_t)(int64_t)(int32_t)__builtin_wasm_memory_grow(0, argument) + 1);
      return reject_with(state, end);
    }
    case LOGS_OUTSIDE:
      hookring_log(HOOKRING_INFO, (const char *)0xffff0000u, 0xffff0000u);
      return HOOK_CONTINUE;
    default:
      return HOOK_CONTINUE;
  }
}
#endif

static int32_t on_message_enqueue(void *user_data, const CMessageEvent *event) {
  State *state = user_data;
  state->calls += 1;
  switch (event->seq) {
    case CONTINUES:
      return HOOK_CONTINUE;
    case REJECTS:
      return reject_with(state, put_text(state->text, "acts: rejected"));
    case REJECTS_WITHOUT_REASON:
      state->reason = NULL;
      return HOOK_REJECT;
    case EMPTY_REASON:
      return reject_with(state, state->text);
    case TRAPS:
      trap();
      return HOOK_CONTINUE;
    case LOOPS:
      for (;;) {
        volatile int again = 1;
        if (!again) break;
      }
      return HOOK_CONTINUE;
    case BLOCKS_MS: {
      double until = now_ms() + (double)event->payload_len;
      while (now_ms() < until) {
      }
      return HOOK_CONTINUE;
    }
    case SHOWS:
      return reject_with(state, put_message(state->text, event));
    case SHOWS_LAST:
      return reject_with(state, state->end);
    case RETURNS:
      reject_with(state, put_text(state->text, "acts: returned another code"));
      return (int32_t)event->payload_len - 1000;
    case LONG_REASON: {
      size_t i;
      for (i = 0; i < sizeof state->text; i++) state->text[i] = 'l';
      state->reason = (const uint8_t *)state->text;
      return HOOK_REJECT;
    }
    case BAD_UTF8:
      return reject_with(state, put_text(state->text, "bad \xff\xc3( utf-8"));
    case COUNTS:
      return reject_with(state, put_number(state->text, state->calls));
    case LOGS: {
      size_t i;
      for (i = 0; i < event->payload_len; i++) tell(state, "logged");
      return HOOK_CONTINUE;
    }
    case READS_CLOCK:
      return reject_with(state, put_number(state->text, (uint64_t)now_ms()));
    case TRAPS_IN_ERROR_MESSAGE:
    case TRAPS_AT_SHUTDOWN:
    case TRAPS_AT_DESTROY:
    case LOOPS_AT_DESTROY:
      state->ending = (uint32_t)event->seq;
      return event->seq == TRAPS_IN_ERROR_MESSAGE ? HOOK_REJECT : HOOK_CONTINUE;
    default:
#ifdef __wasm__
      return outrage(state, event->seq, event->payload_len);
#else
      return HOOK_CONTINUE;
#endif
  }
}

/* What SHOWS_LAST tells. */
static void remember(State *state, char *end) {
  state->end = end;
  state->calls += 1;
}

static void on_batch_enqueue(void *user_data, const CMessageEvent *events, size_t count) {
  State *state = user_data;
  char *end = put_text(state->text, "batch of ");
  size_t i;
  if (count > 0 && events[0].seq == TRAPS) trap();
  end = put_number(end, count);
  if (count > 0) {
    end = put_text(end, ", the last ");
    end = put_message(end, &events[count - 1]);
  }
  for (i = 0; i < count; i++) {
    if (events[i].recipient_key[0] != (uint8_t)i || events[i].seq != i) end = put_text(end, "!");
  }
  remember(state, end);
}

static int is_trap(const uint8_t *name) { return name[0] == 't' && name[1] == 'r' && name[2] == 'a' && name[3] == 'p'; }

static void on_auth(void *user_data, const CAuthEvent *event) {
  State *state = user_data;
  char *end = put_text(state->text, "auth ");
  if (is_trap(event->username)) trap();
  end = put_string(end, event->username, event->username_len);
  end = put_text(end, event->success ? " ok " : " failed ");
  remember(state, put_string(end, event->failure_reason, event->failure_reason_len));
}

static void on_channel_created(void *user_data, const CChannelEvent *event) {
  State *state = user_data;
  char *end = put_text(state->text, "channel ");
  if (event->channel_id[0] == 't') trap();
  end = put_hex(end, event->channel_id, event->channel_id_len);
  end = put_text(end, " ");
  end = put_hex(end, event->initiator_key, event->initiator_key_len);
  end = put_text(end, " ");
  end = put_hex(end, event->peer_key, event->peer_key_len);
  remember(state, put_text(end, event->was_new == 1 ? " new" : event->was_new == 0 ? " found" : " ?"));
}

static void on_fetch(void *user_data, const CFetchEvent *event) {
  State *state = user_data;
  char *end = put_text(state->text, "fetch ");
  if (event->channel_id[0] == 't') trap();
  end = put_hex(end, event->recipient_key, event->recipient_key_len);
  end = put_text(end, " ");
  end = put_hex(end, event->channel_id, event->channel_id_len);
  end = put_text(end, " ");
  remember(state, put_number(end, event->message_count));
}

static void on_user_registered(void *user_data, const uint8_t *username, size_t username_len,
                               const uint8_t *identity_key, size_t identity_key_len) {
  State *state = user_data;
  char *end = put_text(state->text, "user ");
  if (is_trap(username)) trap();
  end = put_string(end, username, username_len);
  end = put_text(end, " ");
  remember(state, put_hex(end, identity_key, identity_key_len));
}

static const uint8_t *error_message(void *user_data) {
  State *state = user_data;
  if (state->ending == TRAPS_IN_ERROR_MESSAGE) trap();
  return state->reason;
}

static void end_of_life(State *state, uint32_t trapping, const char *what) {
  if (state->tag != 0xac75) tell(state, "another user_data");
  tell(state, what);
  if (state->ending == trapping) trap();
}

static void on_shutdown(void *user_data) { end_of_life(user_data, TRAPS_AT_SHUTDOWN, "on_shutdown"); }

static void destroy(void *user_data) {
  State *state = user_data;
  end_of_life(state, TRAPS_AT_DESTROY, "destroy");
  if (state->ending == LOOPS_AT_DESTROY) {
    for (;;) {
      volatile int again = 1;
      if (!again) break;
    }
  }
#ifndef __wasm__
  free(state);
#endif
}

HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  const uint8_t *zeroed = (const uint8_t *)vtable;
  State *state;
  size_t i;
#ifdef __wasm__
  static State only;
  state = &only;
#else
  state = calloc(1, sizeof *state);
#endif
  for (i = 0; i < sizeof *vtable; i++) {
    if (zeroed[i] != 0) return -1000;
  }
  state->tag = 0xac75;
  state->end = state->text;
  tell(state, "init");
  vtable->user_data = state;
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->on_batch_enqueue = on_batch_enqueue;
  vtable->on_auth = on_auth;
  vtable->on_channel_created = on_channel_created;
  vtable->on_fetch = on_fetch;
  vtable->on_user_registered = on_user_registered;
  vtable->error_message = error_message;
  vtable->destroy = destroy;
  vtable->on_shutdown = on_shutdown;
  return INIT_CODE;
}
