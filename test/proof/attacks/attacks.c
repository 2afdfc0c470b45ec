/* A plugin that asks the system for what is none of its business. What is attempted is the message's seq. */
#define _GNU_SOURCE
#include "hookring_plugin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* SECRET_NAME, SECRET_FILE, MARKER, PORT and SERVER_PID are given by the one who compiles it. */

static char found[300];

static int32_t told(const char *text) {
  snprintf(found, sizeof found, "%s", text == NULL ? "-" : text);
  return HOOK_REJECT;
}

static int32_t read_secret(void) {
  FILE *file = fopen(SECRET_FILE, "r");
  if (file == NULL) return told("-");
  static char text[100];
  size_t length = fread(text, 1, sizeof text - 1, file);
  text[length] = 0;
  fclose(file);
  return told(text);
}

static int32_t write_marker(void) {
  FILE *file = fopen(MARKER, "w");
  if (file != NULL) fclose(file);
  return told("-");
}

static int32_t connect_out(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd >= 0) {
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) usleep(20000);
    close(fd);
  }
  return told("-");
}

static int32_t on_message_enqueue(void *user_data, const CMessageEvent *event) {
  (void)user_data;
  switch (event->seq) {
    case 1: return told(getenv(SECRET_NAME));
    case 2: return read_secret();
    case 3: return write_marker();
    case 4: kill(SERVER_PID, SIGKILL); return told("-");
    case 5: return connect_out();
    case 6: return told(system("echo x > " MARKER) == 0 ? "it-ran" : "-");
    case 7: return told(ptrace(PTRACE_ATTACH, SERVER_PID, NULL, NULL) == 0 ? (kill(SERVER_PID, SIGCONT), "it-attached") : "-");
    case 8: *(volatile int *)0 = 1; return HOOK_CONTINUE;
    case 9: abort();
    case 10: _exit(3);
    case 11:
      /* Bounded, for the sake of the machine where nothing else bounds it. */
      for (int i = 0; i < 24; i += 1) {
        char *block = malloc(64 << 20);
        if (block != NULL) memset(block, 1, 64 << 20);
      }
      return HOOK_CONTINUE;
    case 12:
      for (int i = 0; i < 20; i += 1) {
        if (fork() == 0) {
          sleep(2);
          _exit(0);
        }
      }
      return HOOK_CONTINUE;
    case 13: {
      sigset_t all;
      sigfillset(&all);
      sigprocmask(SIG_SETMASK, &all, NULL);
      for (;;)
        ;
    }
    case 14: {
      static char flood[65536];
      for (int fd = 0; fd < 20; fd += 1) {
        if (fd == 0 || write(fd, flood, sizeof flood) < 0) continue;
      }
      return HOOK_CONTINUE;
    }
    default: return HOOK_CONTINUE;
  }
}

static const uint8_t *error_message(void *user_data) {
  (void)user_data;
  return (const uint8_t *)found;
}

HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->error_message = error_message;
  return PLUGIN_OK;
}
