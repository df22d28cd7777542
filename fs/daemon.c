/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The background process. */
#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/usage.h"

static int wait_for_child(pid_t pid, int fd)
{
	char byte;
	ssize_t len;
	int status;

	do
		len = read(fd, &byte, 1);
	while (len < 0 && errno == EINTR);
	close(fd);
	if (len == 1)
		return EXIT_OK;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		complain("the background process was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	return EXIT_FAILED;
}

static void redirect(int fd, int flags)
{
	int null = open("/dev/null", flags);

	if (null >= 0 && null != fd) {
		dup2(null, fd);
		close(null);
	}
}

/* Nothing of the caller's is kept but stderr: neither its session nor its directory, nor descriptors it forgot. */
static int become_daemon(int fd)
{
	int ready = 3;

	setsid();
	if (chdir("/") < 0 || (fd != ready && dup2(fd, ready) < 0)) {
		complain("cannot go into the background: %s", strerror(errno));
		_exit(EXIT_FAILED);
	}
	close_range(ready + 1, ~0u, 0);
	fcntl(ready, F_SETFD, FD_CLOEXEC);
	redirect(STDIN_FILENO, O_RDONLY);
	redirect(STDOUT_FILENO, O_WRONLY);
	umask(077);
	return ready;
}

int daemon_start(int *ready_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		complain("cannot go into the background: %s; -f stays in the foreground", strerror(errno));
		return EXIT_FAILED;
	}
	if (pid > 0) {
		close(fds[1]);
		return wait_for_child(pid, fds[0]);
	}
	close(fds[0]);
	*ready_fd = become_daemon(fds[1]);
	return -1;
}

bool daemon_ready(int ready_fd)
{
	bool heard;

	redirect(STDERR_FILENO, O_WRONLY);
	heard = write(ready_fd, "", 1) == 1;
	close(ready_fd);
	return heard;
}
