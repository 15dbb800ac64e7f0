/*
 * witness: a thread whose end says that this process dies, to whoever has the other end of a pipe.
 *
 * The descriptors of a process that was killed stay open until the last of its threads has let go of
 * them. One that waits for a disk in D state may take for ever: its sockets have no end of file, and its
 * pidfd says nothing. The witness has a table of descriptors of its own with nothing in it but one end of
 * the pipe, and waits for nothing that could hold it: it dies at once, and the pipe is at its end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_WITNESS_H
#define AICTL_LOGGER_WITNESS_H

/* fd: the write end, taken over. Once in a process. Where there can be no such thread the end of the
 * pipe is that of the whole process. */
void witness_start(int fd);

#endif
