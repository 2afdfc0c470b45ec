/*
 * One line for each failed login: AUDIT: failed login for '<user>': <reason>
 * As WebAssembly the lines go to the server's logger, as a shared library to stderr. Names come from whoever tries to log
 * in: what is not plain ASCII is escaped, so that none can forge a line or drive a terminal.
 */
#include "hookring_plugin.h"

#ifndef __wasm__
#include <stdio.h>
#endif

#define MAX_NAME 64
#define MAX_REASON 128

/* Of `text` up to `most` bytes, quoted and escaped. */
static char *put_escaped(char *to, const uint8_t *text, size_t len, size_t most) {
  static const char hex[] = "0123456789abcdef";
  size_t i;
  for (i = 0; i < len && i < most; i++) {
    uint8_t byte = text[i];
    if (byte >= 0x20 && byte < 0x7f && byte != '\'' && byte != '\\') {
      *to++ = (char)byte;
    } else {
      *to++ = '\\';
      *to++ = 'x';
      *to++ = hex[byte >> 4];
      *to++ = hex[byte & 15];
    }
  }
  if (i < len) {
    *to++ = '.';
    *to++ = '.';
    *to++ = '.';
  }
  return to;
}

static char *put_text(char *to, const char *text) {
  while (*text != '\0') *to++ = *text++;
  return to;
}

static void on_auth(void *user_data, const CAuthEvent *event) {
  char line[64 + 4 * MAX_NAME + 4 * MAX_REASON];
  char *end;
  (void)user_data;
  if (event->success) return;
  end = put_text(line, "AUDIT: failed login for '");
  end = put_escaped(end, event->username, event->username_len, MAX_NAME);
  end = put_text(end, "': ");
  end = put_escaped(end, event->failure_reason, event->failure_reason_len, MAX_REASON);
#ifdef __wasm__
  hookring_log(HOOKRING_WARN, line, (size_t)(end - line));
#else
  /* One call: lines of several lanes do not mix. */
  fprintf(stderr, "%.*s\n", (int)(end - line), line);
#endif
}

HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->on_auth = on_auth;
  return PLUGIN_OK;
}
