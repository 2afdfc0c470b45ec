/* A plugin that asks the system for what is none of its business. What is attempted is the message's seq. */
#define _GNU_SOURCE
#include "hookring_plugin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
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

/* Far more than any kind of memory beside the limit should give. */
#define TOO_MUCH (96ul << 20)

static int32_t got(size_t bytes, const char *what) {
  static char text[100];
  snprintf(text, sizeof text, "%s %zu MB of %s", bytes > TOO_MUCH ? "it-got" : "only", bytes >> 20, what);
  return told(text);
}

static int32_t map_all(int flags, const char *what) {
  size_t bytes = 0;
  for (int i = 0; i < 24; i += 1) {
    char *block = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);
    if (block == MAP_FAILED) break;
    memset(block, 1, 16 << 20);
    bytes += 16 << 20;
  }
  return got(bytes, what);
}

static int32_t grow_main_stack(void) {
  struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
  struct rlimit now;
  setrlimit(RLIMIT_STACK, &all);
  getrlimit(RLIMIT_STACK, &now);
  return told(now.rlim_cur == RLIM_INFINITY ? "it-got a stack without end" : "-");
}

static int32_t open_pipes(void) {
  static char fill[4096];
  size_t bytes = 0;
  for (int i = 0; i < 400; i += 1) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0) break;
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    for (ssize_t wrote; (wrote = write(ends[1], fill, sizeof fill)) > 0;) bytes += wrote;
  }
  return got(bytes * 2, "pipes");
}

static int32_t send_descriptors(void) {
  static char fill[65536];
  size_t bytes = 0;
  for (int i = 0; i < 4000; i += 1) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0) break;
    for (ssize_t wrote; (wrote = write(ends[1], fill, sizeof fill)) > 0;) bytes += wrote;
  }
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec one = {fill, 1};
  struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  *(int *)CMSG_DATA(head) = 2;
  /* Over the plugin's own pipe. */
  if (sendmsg(3, &message, 0) >= 0) return told("it-got a descriptor out");
  return got(bytes, "sockets");
}

static void *sleeps(void *unused) {
  sleep(3);
  return unused;
}

static int32_t start_threads(void) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16384);
  for (int i = 0; i < 3000; i += 1) {
    pthread_t thread;
    if (pthread_create(&thread, &small, sleeps, NULL) != 0) break;
  }
  return HOOK_CONTINUE;
}

static int32_t take_addresses(void) {
  size_t gib = 0;
  while (gib < 64 && mmap(NULL, 1ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED) gib += 1;
  return told(gib >= 64 ? "it-got addresses without end" : "-");
}

static int32_t lock_files(void) {
  int locks = 0;
  for (int fd = 0; fd < 30; fd += 1) {
    struct flock one = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};
    for (one.l_start = 1000; one.l_start > 0 && fcntl(fd, F_SETLK, &one) == 0; one.l_start -= 2) locks += 1;
  }
  return told(locks > 100 ? "it-got locks" : "-");
}

static void *floods(void *unused) {
  static char flood[65536];
  memset(flood, 'f', sizeof flood);
  for (;;) write(2, flood, sizeof flood);
  return unused;
}

/* A frame of the plugin's pipe: its head, and so many of a byte. */
static int32_t forge(uint8_t what, size_t bytes, char filler) {
  uint32_t size = 24 + bytes;
  char *frame = calloc(1, size);
  memset(frame, filler, size);
  memset(frame, 0, 24);
  memcpy(frame, &size, 4);
  frame[4] = what;
  for (size_t at = 0; at < size;) {
    ssize_t wrote = write(3, frame + at, size - at);
    if (wrote > 0) at += wrote;
    else if (errno != EAGAIN) break;
  }
  free(frame);
  return HOOK_CONTINUE;
}

static int32_t die_with_much_to_say(void) {
  static char line[12000];
  memset(line, 'x', sizeof line - 1);
  memcpy(line, "FATAL ERROR: ", 13);
  line[sizeof line - 1] = '\n';
  write(2, line, sizeof line);
  abort();
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
    case 15: return map_all(MAP_PRIVATE | MAP_GROWSDOWN, "stacks");
    case 16: return grow_main_stack();
    case 17: return open_pipes();
    case 18: return send_descriptors();
    case 19: return start_threads();
    case 20: return take_addresses();
    case 21: return lock_files();
    case 22: {
      pthread_t thread;
      for (int i = 0; i < 3; i += 1) pthread_create(&thread, NULL, floods, NULL);
      usleep(50000);
      return HOOK_CONTINUE;
    }
    case 23: return forge(26, 8 << 20, '[');
    case 24: return forge(26, 128 << 10, '[');
    case 25: return forge(17, 60 << 10, '[');
    case 26: return die_with_much_to_say();
    case 27: return map_all(MAP_SHARED, "shared memory");
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
