/**
 * The attacks by name; plugins/attacks.mjs carries them out. Of each: how often it comes up, and how many completions a
 * lane may make in it before it is told to end.
 *
 * `movesBytes`: the attacker itself carries one call's reply bytes into another call's extent, or scribbles over the words
 * by which it finds them. What its own calls come to then says nothing about the host.
 */
export const ATTACKS = {
  /** Completions of every outstanding slot, claimed or not, in any order, with made-up outcomes. */
  forged: { share: 5, quota: 40_000, movesBytes: false },
  /** The same, and now and then a slot twice, or many times. */
  repeated: { share: 2, quota: 15_000, movesBytes: false },
  /** The same, and now and then a length, index, code, time or queue position that is out of range. */
  'out of range': { share: 3, quota: 15_000, movesBytes: false },
  /** What two outstanding slots say of their outcomes is exchanged. */
  'swapped verdicts': { share: 2, quota: 15_000, movesBytes: false },
  /** The same, with the bytes of their replies. */
  'swapped bytes': { share: 2, quota: 15_000, movesBytes: true },
  /** A slot's words and state of an earlier use, after the slot was used again. */
  'earlier uses': { share: 2, quota: 15_000, movesBytes: false },
  /** The queue always as full as it can be, with the same slots over and over. */
  'endless queue': { share: 2, quota: 4_000, movesBytes: false },
  /** Completions that come after the deadline, as many as there are. */
  late: { share: 1, quota: 4_000, movesBytes: false },
  /** Announced, and then changed again and again while the host reads: by the lane itself. */
  'flips in the lane': { share: 2, quota: 4_000, movesBytes: false },
  /** The same by a second thread, which the attacker has started. */
  'flips by a thread': { share: 2, quota: 4_000, movesBytes: false },
  /** Random words all over the buffer, between completions. */
  'scribbles everywhere': { share: 2, quota: 2_000, movesBytes: true },
  'scribbles in slots': { share: 2, quota: 2_000, movesBytes: true },
  'scribbles in queues': { share: 2, quota: 2_000, movesBytes: true },
  'scribbles in the arena': { share: 2, quota: 4_000, movesBytes: true },
  /** Rings the host's doorbell in a loop. */
  doorbell: { share: 1, quota: 500, movesBytes: false },
  /** Never lets the host sleep. */
  wakeful: { share: 1, quota: 500, movesBytes: false },
  /** Completes nothing, and says of every slot that plugins of it have finished, and replaced the event, in nonsense. */
  silent: { share: 2, quota: 500, movesBytes: false },
  /** Completes nothing; of each slot the first plugin has finished, and replaced the event in an area that is none. */
  'finished with nonsense': { share: 1, quota: 500, movesBytes: false },
}
