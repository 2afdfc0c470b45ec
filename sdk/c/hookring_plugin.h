/*
 * hookring plugin API: the C ABI of the contract delivery@1.
 *
 * A plugin exports one function, qpc_plugin_init. It is given a zeroed HookVTable, fills in the functions that it cares
 * about, and returns PLUGIN_OK, or a negative code of its own to refuse. Slots that stay null are no-ops: the server does
 * not call such a hookpoint for this plugin at all.
 *
 *   - Every function is given `user_data` first, as init has left it in the vtable.
 *   - Events, and all that they point to, belong to the server and are valid until the function returns.
 *   - Strings are UTF-8 and null-terminated; their length does not count the null. They may hold nulls of their own.
 *   - on_message_enqueue decides: HOOK_CONTINUE lets the message pass, any other value rejects it, and the server asks
 *     error_message for the reason. The other hooks are told of what has happened and decide nothing.
 *   - on_shutdown comes before connections close, destroy exactly once and last, with no call after it. When init has
 *     failed, neither is called.
 *
 * The same source is compiled to WebAssembly (clang --target=wasm32) and to a shared library. It needs no libc. How to
 * build either stands in README.md beside this file.
 */
#ifndef HOOKRING_PLUGIN_H
#define HOOKRING_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What init returns on success. */
#define PLUGIN_OK 0
/* The operation may proceed. */
#define HOOK_CONTINUE 0
/* The operation is refused; error_message says why. */
#define HOOK_REJECT 1

/* A message that is about to be stored. Its payload is encrypted end to end and is not part of the event. */
typedef struct CMessageEvent {
  const uint8_t *sender_identity; /* Ed25519 public key, 32 bytes; null when the sender is sealed */
  size_t sender_identity_len;     /* 0 when null */
  const uint8_t *recipient_key;   /* Ed25519 public key, 32 bytes */
  size_t recipient_key_len;
  const uint8_t *channel_id; /* 16 bytes */
  size_t channel_id_len;
  size_t payload_len; /* of the encrypted payload; SIZE_MAX when it is longer than a size_t can say */
  uint64_t seq;       /* assigned by the server */
} CMessageEvent;

/* A login attempt. */
typedef struct CAuthEvent {
  const uint8_t *username; /* null-terminated; it comes from the client */
  size_t username_len;
  int32_t success;               /* not 0: it succeeded */
  const uint8_t *failure_reason; /* null-terminated; empty on success */
  size_t failure_reason_len;
} CAuthEvent;

/* A channel that was created or looked up. */
typedef struct CChannelEvent {
  const uint8_t *channel_id; /* 16 bytes */
  size_t channel_id_len;
  const uint8_t *initiator_key; /* 32 bytes */
  size_t initiator_key_len;
  const uint8_t *peer_key; /* 32 bytes */
  size_t peer_key_len;
  int32_t was_new; /* not 0: it was created just now */
} CChannelEvent;

/* Messages that were fetched. */
typedef struct CFetchEvent {
  const uint8_t *recipient_key; /* 32 bytes */
  size_t recipient_key_len;
  const uint8_t *channel_id; /* 16 bytes */
  size_t channel_id_len;
  size_t message_count; /* 0 when a fetch found none */
} CFetchEvent;

typedef struct HookVTable {
  /* Whatever the plugin wants to be given with each call. May be null. */
  void *user_data;

  /* Before a message is stored: HOOK_CONTINUE, or HOOK_REJECT with a reason in error_message. */
  int32_t (*on_message_enqueue)(void *user_data, const CMessageEvent *event);
  /* After a batch of messages was enqueued: `count` events, one behind the other. */
  void (*on_batch_enqueue)(void *user_data, const CMessageEvent *events, size_t count);
  /* After a login attempt. */
  void (*on_auth)(void *user_data, const CAuthEvent *event);
  /* After a channel was created or looked up. */
  void (*on_channel_created)(void *user_data, const CChannelEvent *event);
  /* After messages were fetched. */
  void (*on_fetch)(void *user_data, const CFetchEvent *event);
  /* After a user has registered. */
  void (*on_user_registered)(void *user_data, const uint8_t *username, size_t username_len, const uint8_t *identity_key,
                             size_t identity_key_len);

  /* Why the last call was rejected: null-terminated UTF-8, valid until the next call. Null: the server says something
   * general. What is longer than 4096 bytes is cut. */
  const uint8_t *(*error_message)(void *user_data);
  /* The server is done with the plugin. */
  void (*destroy)(void *user_data);
  /* The server is shutting down; its connections are still open. */
  void (*on_shutdown)(void *user_data);
} HookVTable;

#ifdef __wasm__
#define HOOKRING_EXPORT __attribute__((visibility("default"), used))
/*
 * What the host gives to a WebAssembly plugin, all of it. A shared library has its libc instead.
 */
enum { HOOKRING_DEBUG = 0, HOOKRING_INFO = 1, HOOKRING_WARN = 2, HOOKRING_ERROR = 3 };

/* A line of UTF-8 text to the server's logger, under the plugin's name. What is longer than 8192 bytes is cut. */
__attribute__((import_module("hookring"), import_name("log"))) void hookring_log(int32_t level, const char *text,
                                                                                  size_t text_len);
/* Milliseconds since the Unix epoch. */
__attribute__((import_module("hookring"), import_name("clock_ms"))) double hookring_clock_ms(void);
#elif defined(_WIN32)
#define HOOKRING_EXPORT __declspec(dllexport)
#else
#define HOOKRING_EXPORT __attribute__((visibility("default")))
#endif

/* The plugin's one export; define it with HOOKRING_EXPORT in front. */
#ifdef __wasm__
__attribute__((export_name("qpc_plugin_init")))
#endif
HOOKRING_EXPORT int32_t qpc_plugin_init(HookVTable *vtable);

#ifdef __cplusplus
}
#endif

#endif
