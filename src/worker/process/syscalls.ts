/**
 * The filter of system calls that bubblewrap installs before the child runs: no new processes, no memory that the data limit
 * does not count, none of the kernel's rarer doors. A classic BPF program, as linux/filter.h and linux/seccomp.h have it.
 * Pure.
 */

const LOAD_WORD = 0x20
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_ANY_BIT = 0x45
const RETURN = 0x06

const ALLOW = 0x7fff_0000
const KILL_PROCESS = 0x8000_0000
const fail = (errno: number) => 0x0005_0000 | errno
const EPERM = fail(1)
/** What the C library takes as: do it the older way. */
const ENOSYS = fail(38)

/** struct seccomp_data, little-endian. */
const NUMBER_AT = 0
const ARCHITECTURE_AT = 4
const argumentAt = (index: number) => 16 + 8 * index

const CLONE_THREAD = 0x0001_0000
/** MAP_SHARED, and a bit of MAP_SHARED_VALIDATE: memory that no limit counts as the process's own. */
const MAP_SHARED = 0x01
/** Memory that grows by being touched, and counts as stack. */
const MAP_GROWSDOWN = 0x0100
/** Larger pipes, leases, watches on folders, and locks on files, of which a process may hold any number. */
const REFUSED_FCNTLS = {
  F_SETLK: 6,
  F_SETLKW: 7,
  F_OFD_SETLK: 37,
  F_OFD_SETLKW: 38,
  F_SETLEASE: 1024,
  F_NOTIFY: 1026,
  F_SETPIPE_SZ: 1031,
}

interface Numbers {
  readonly architecture: number
  readonly clone: number
  readonly clone3: number
  readonly mmap: number
  readonly fcntl: number
  /** Of another calling convention of the same architecture: calls with this bit are refused. */
  readonly foreignBit: number
  readonly refused: Readonly<Record<string, number>>
  readonly absent: Readonly<Record<string, number>>
}

const NUMBERS: Readonly<Record<string, Numbers>> = {
  x64: {
    architecture: 0xc000_003e,
    clone: 56,
    clone3: 435,
    mmap: 9,
    fcntl: 72,
    foreignBit: 0x4000_0000,
    refused: {
      // The network namespace does not cover every family.
      socket: 41,
      // Descriptors that are under way in a socket count for nobody.
      socketpair: 53,
      sendmsg: 46,
      sendmmsg: 307,
      inotify_init: 253,
      inotify_init1: 294,
      fanotify_init: 300,
      remap_file_pages: 216,
      mbind: 237,
      migrate_pages: 256,
      move_pages: 279,
      fork: 57,
      vfork: 58,
      ptrace: 101,
      memfd_create: 319,
      memfd_secret: 447,
      shmget: 29,
      shmat: 30,
      msgget: 68,
      semget: 64,
      mount: 165,
      umount2: 166,
      pivot_root: 155,
      chroot: 161,
      unshare: 272,
      setns: 308,
      keyctl: 250,
      add_key: 248,
      request_key: 249,
      bpf: 321,
      perf_event_open: 298,
      userfaultfd: 323,
      process_vm_readv: 310,
      process_vm_writev: 311,
      pidfd_open: 434,
      pidfd_getfd: 438,
      mq_open: 240,
      personality: 135,
    },
    absent: { io_uring_setup: 425 },
  },
  arm64: {
    architecture: 0xc000_00b7,
    clone: 220,
    clone3: 435,
    mmap: 222,
    fcntl: 25,
    foreignBit: 0,
    refused: {
      socket: 198,
      socketpair: 199,
      sendmsg: 211,
      sendmmsg: 269,
      inotify_init1: 26,
      fanotify_init: 262,
      remap_file_pages: 234,
      mbind: 235,
      migrate_pages: 238,
      move_pages: 239,
      ptrace: 117,
      memfd_create: 279,
      memfd_secret: 447,
      shmget: 194,
      shmat: 196,
      msgget: 186,
      semget: 190,
      mount: 40,
      umount2: 39,
      pivot_root: 41,
      chroot: 51,
      unshare: 97,
      setns: 268,
      keyctl: 219,
      add_key: 217,
      request_key: 218,
      bpf: 280,
      perf_event_open: 241,
      userfaultfd: 282,
      process_vm_readv: 270,
      process_vm_writev: 271,
      pidfd_open: 434,
      pidfd_getfd: 438,
      mq_open: 180,
      personality: 92,
    },
    absent: { io_uring_setup: 425 },
  },
}

interface Instruction {
  readonly code: number
  readonly value: number
  readonly whenTrue?: number
  readonly whenFalse?: number
}

/** Null where the numbers of the architecture's calls are not known here. */
export function syscallFilter(architecture: string): Uint8Array | null {
  const numbers = NUMBERS[architecture]
  if (numbers === undefined) return null
  return assemble([
    { code: LOAD_WORD, value: ARCHITECTURE_AT },
    ...unless({ code: JUMP_IF_EQUAL, value: numbers.architecture }, KILL_PROCESS),
    { code: LOAD_WORD, value: NUMBER_AT },
    ...(numbers.foreignBit === 0 ? [] : when({ code: JUMP_IF_ANY_BIT, value: numbers.foreignBit }, EPERM)),
    ...Object.values(numbers.refused).flatMap((number) => when({ code: JUMP_IF_EQUAL, value: number }, EPERM)),
    ...Object.values(numbers.absent).flatMap((number) => when({ code: JUMP_IF_EQUAL, value: number }, ENOSYS)),
    // A thread, not a process; the newer call passes its flags where a filter cannot look.
    ...when({ code: JUMP_IF_EQUAL, value: numbers.clone3 }, ENOSYS),
    { code: JUMP_IF_EQUAL, value: numbers.clone, whenFalse: 3 },
    { code: LOAD_WORD, value: argumentAt(0) },
    ...unless({ code: JUMP_IF_ANY_BIT, value: CLONE_THREAD }, EPERM),
    { code: LOAD_WORD, value: NUMBER_AT },
    { code: JUMP_IF_EQUAL, value: numbers.mmap, whenFalse: 4 },
    { code: LOAD_WORD, value: argumentAt(3) },
    ...when({ code: JUMP_IF_ANY_BIT, value: MAP_SHARED | MAP_GROWSDOWN }, EPERM),
    { code: RETURN, value: ALLOW },
    { code: JUMP_IF_EQUAL, value: numbers.fcntl, whenFalse: 1 + 2 * Object.keys(REFUSED_FCNTLS).length },
    { code: LOAD_WORD, value: argumentAt(1) },
    ...Object.values(REFUSED_FCNTLS).flatMap((command) => when({ code: JUMP_IF_EQUAL, value: command }, EPERM)),
    { code: RETURN, value: ALLOW },
  ])
}

function when(test: Instruction, result: number): Instruction[] {
  return [
    { ...test, whenFalse: 1 },
    { code: RETURN, value: result },
  ]
}

function unless(test: Instruction, result: number): Instruction[] {
  return [
    { ...test, whenTrue: 1 },
    { code: RETURN, value: result },
  ]
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8 * program.length))
  for (const [index, { code, value, whenTrue = 0, whenFalse = 0 }] of program.entries()) {
    bytes.setUint16(8 * index, code, true)
    bytes.setUint8(8 * index + 2, whenTrue)
    bytes.setUint8(8 * index + 3, whenFalse)
    bytes.setUint32(8 * index + 4, value >>> 0, true)
  }
  return new Uint8Array(bytes.buffer)
}
