/*
 * What the standard libraries of Rust and TinyGo ask of WASI before and while a plugin runs: descriptors and folders are
 * looked through, environment and arguments are read, hash maps are seeded, clocks are read, and text is printed. Anything
 * that is not as they expect is a trap, as a panic would be.
 */
#include <stddef.h>
#include <stdint.h>

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

WASI(environ_sizes_get) extern int32_t environ_sizes_get(uint32_t *, uint32_t *);
WASI(environ_get) extern int32_t environ_get(uint8_t **, uint8_t *);
WASI(args_sizes_get) extern int32_t args_sizes_get(uint32_t *, uint32_t *);
WASI(args_get) extern int32_t args_get(uint8_t **, uint8_t *);
WASI(clock_time_get) extern int32_t clock_time_get(uint32_t, uint64_t, uint64_t *);
WASI(clock_res_get) extern int32_t clock_res_get(uint32_t, uint64_t *);
WASI(fd_close) extern int32_t fd_close(uint32_t);
WASI(fd_fdstat_get) extern int32_t fd_fdstat_get(uint32_t, void *);
WASI(fd_fdstat_set_flags) extern int32_t fd_fdstat_set_flags(uint32_t, uint32_t);
WASI(fd_filestat_get) extern int32_t fd_filestat_get(uint32_t, void *);
WASI(fd_prestat_get) extern int32_t fd_prestat_get(uint32_t, void *);
WASI(fd_prestat_dir_name) extern int32_t fd_prestat_dir_name(uint32_t, uint8_t *, uint32_t);
WASI(fd_read) extern int32_t fd_read(uint32_t, void *, uint32_t, uint32_t *);
WASI(fd_seek) extern int32_t fd_seek(uint32_t, int64_t, uint32_t, uint64_t *);
WASI(fd_write) extern int32_t fd_write(uint32_t, const void *, uint32_t, uint32_t *);
WASI(path_open) extern int32_t path_open(uint32_t, uint32_t, const char *, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t, uint32_t *);
WASI(path_filestat_get) extern int32_t path_filestat_get(uint32_t, uint32_t, const char *, uint32_t, void *);
WASI(poll_oneoff) extern int32_t poll_oneoff(const void *, void *, uint32_t, uint32_t *);
WASI(proc_exit) extern _Noreturn void proc_exit(uint32_t);
WASI(random_get) extern int32_t random_get(void *, uint32_t);
WASI(sched_yield) extern int32_t sched_yield(void);

enum { SUCCESS = 0, BADF = 8 };

static void must(int holds) {
  if (!holds) __builtin_trap();
}

static void print(const char *text, uint32_t bytes) {
  struct {
    const char *text;
    uint32_t bytes;
  } vector = {text, bytes};
  uint32_t written = 0;
  must(fd_write(1, &vector, 1, &written) == SUCCESS && written == bytes);
}

static uint64_t seed[2];

/* As a C library does it: descriptors from 3 on, until one is none. */
__attribute__((export_name("_initialize"))) void initialize(void) {
  uint8_t stat[64];
  for (uint32_t fd = 3; fd_prestat_get(fd, stat) != BADF; fd += 1) must(fd < 64);
  uint32_t count = 1, bytes = 1;
  must(environ_sizes_get(&count, &bytes) == SUCCESS && count == 0 && environ_get(NULL, NULL) == SUCCESS);
  must(args_sizes_get(&count, &bytes) == SUCCESS && count == 0 && args_get(NULL, NULL) == SUCCESS);
  must(random_get(seed, sizeof seed) == SUCCESS && (seed[0] | seed[1]) != 0);
}

static int32_t on_message_enqueue(void *data, const void *event) {
  (void)data;
  (void)event;
  uint64_t real = 0, monotonic = 0, before = 0;
  must(clock_time_get(0, 1, &real) == SUCCESS && real > 0);
  must(clock_time_get(1, 1, &before) == SUCCESS && clock_time_get(1, 1, &monotonic) == SUCCESS && monotonic >= before);
  must(sched_yield() == SUCCESS);
  uint32_t fd = 0;
  must(path_open(3, 0, "etc/passwd", 10, 0, 0, 0, 0, &fd) != SUCCESS);
  print("it runs\n", 8);
  /* Bulk memory, sign extension and saturating conversions, which compilers use by default. */
  static volatile float large = 1e30f;
  static volatile int8_t small = -1;
  uint8_t room[512];
  __builtin_memset(room, (int32_t)small, sizeof room);
  must((int32_t)large == INT32_MAX && room[511] == 0xff);
  return 0;
}

struct vtable {
  void *user_data;
  int32_t (*on_message_enqueue)(void *, const void *);
  void *others[8];
};

__attribute__((export_name("qpc_plugin_init"))) int32_t init(struct vtable *out) {
  out->on_message_enqueue = on_message_enqueue;
  return seed[0] == 0 && seed[1] == 0 ? -1 : 0;
}

/* Linked in, and called by nobody: what else the standard libraries import. */
__attribute__((export_name("rest"))) void rest(void *at, uint32_t *size, uint64_t *long_size) {
  clock_res_get(0, long_size);
  fd_close(4);
  fd_fdstat_get(1, at);
  fd_fdstat_set_flags(1, 0);
  fd_filestat_get(1, at);
  fd_prestat_dir_name(3, at, 1);
  fd_read(0, at, 1, size);
  fd_seek(1, 0, 0, long_size);
  path_filestat_get(3, 0, "x", 1, at);
  poll_oneoff(at, at, 1, size);
  proc_exit(1);
}
