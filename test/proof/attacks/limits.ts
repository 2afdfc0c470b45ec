/** limits.memoryMb of every attacked plugin. */
export const MEMORY_MB = 48
/** What a server grows by when it starts a lane and asks it something: the thread, its heap, the ring, and garbage. */
export const LANE_MB = 60
