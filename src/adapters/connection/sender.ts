/** Writes the frames of a connection. On the host's thread. */
import type { Socket } from 'node:net'

/** What is sent in one turn goes out together. To a socket that has ended nothing is sent. */
export function createSender(socket: Socket): (frame: Buffer) => void {
  let isCorked = false
  return (frame) => {
    if (socket.writableEnded || socket.destroyed) return
    if (!isCorked) {
      isCorked = true
      socket.cork()
      process.nextTick(() => {
        isCorked = false
        socket.uncork()
      })
    }
    socket.write(frame)
  }
}
