/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/peer.h"

/* These tests are themselves what is looked at: they are named like an smbd,
 * and have one end of a connection to themselves. */

typedef struct Link {
	int listener;
	int ours;   /* the lowest connected descriptor */
	int theirs; /* has the other address */
	struct sockaddr_storage client;
} Link;

static void
link_open(Link *link, struct sockaddr *address, socklen_t size)
{
	int family = address->sa_family;
	socklen_t client_size = sizeof link->client;
	int client = socket(family, SOCK_STREAM, 0);

	assert_true(client >= 0);
	link->listener = socket(family, SOCK_STREAM, 0);
	assert_true(link->listener >= 0);
	assert_int_equal(bind(link->listener, address, size), 0);
	assert_int_equal(listen(link->listener, 1), 0);
	assert_int_equal(getsockname(link->listener, address, &size), 0);
	assert_int_equal(connect(client, address, size), 0);

	link->ours = accept(link->listener, (struct sockaddr *)&link->client,
	                    &client_size);
	assert_true(link->ours >= 0);
	/* An smbd does not have its client's end. */
	link->theirs = fcntl(client, F_DUPFD, 200);
	assert_true(link->theirs >= 200);
	assert_int_equal(close(client), 0);
}

static void
link_close(const Link *link)
{
	(void)close(link->theirs);
	(void)close(link->ours);
	(void)close(link->listener);
}

/* Whether nobody may read how a process is called. The linker puts this between
 * peer.c and GLib; see meson.build. */
static bool is_unreadable;

gboolean __real_g_file_get_contents(const char *path, char **content,
                                    gsize *length, GError **error);
gboolean __wrap_g_file_get_contents(const char *path, char **content,
                                    gsize *length, GError **error);

gboolean
__wrap_g_file_get_contents(const char *path, char **content, gsize *length,
                           GError **error)
{
	return !is_unreadable &&
	       __real_g_file_get_contents(path, content, length, error);
}

/* However long it takes. */
static int
peer_find(pid_t pid, FsPeer *ret_peer)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	g_autoptr(FsProcReading) reading = NULL;
	int r = -EAGAIN;

	assert_true(pidfd >= 0);
	reading = fs_peer_look(pid, pidfd);
	assert_int_equal(close(pidfd), 0);
	assert_non_null(reading);
	while (r == -EAGAIN) {
		fs_proc_await(reading);
		r = fs_proc_peek(reading, ret_peer, sizeof *ret_peer);
	}
	return r;
}

static void
find(FsPeer *peer)
{
	assert_int_equal(peer_find(getpid(), peer), 0);
}

/* The client's address, as inet_ntop(3) has it, is @text. */
static void
assert_client(const Link *link, const char *text)
{
	const struct sockaddr_in *in = (const void *)&link->client;
	const struct sockaddr_in6 *in6 = (const void *)&link->client;
	bool is_v4 = link->client.ss_family == AF_INET;
	g_autofree char *expected = g_strdup_printf(
		"%s:%u", text, ntohs(is_v4 ? in->sin_port : in6->sin6_port));
	FsPeer peer;

	find(&peer);
	assert_true(peer.is_smbd);
	assert_string_equal(peer.address, expected);
}

static void
an_smbd_is_known_by_its_client(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char text[INET_ADDRSTRLEN];
	FsPeer peer;
	Link link;

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 6);
	link_open(&link, (struct sockaddr *)&address, sizeof address);
	assert_non_null(inet_ntop(
		AF_INET, &((struct sockaddr_in *)&link.client)->sin_addr, text,
		sizeof text));
	assert_client(&link, text);

	/* It is of no interest where another program is connected. */
	(void)prctl(PR_SET_NAME, "mailer");
	find(&peer);
	assert_false(peer.is_smbd);
	assert_string_equal(peer.address, "");
	(void)prctl(PR_SET_NAME, "smbd[10.0.0.1]");
	link_close(&link);
}

static void
the_first_connection_is_the_client(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	Link client;
	Link other;

	(void)state;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	link_open(&client, (struct sockaddr *)&address, sizeof address);
	address.sin_port = 0;
	link_open(&other, (struct sockaddr *)&address, sizeof address);
	assert_true(client.ours < other.ours);
	assert_client(&client, "127.0.0.1");
	(void)close(client.ours);
	assert_client(&other, "127.0.0.1");
	link_close(&other);
	link_close(&client);
}

static void
a_client_may_have_a_long_address(void **state)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
		                        .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	Link link;

	(void)state;
	link_open(&link, (struct sockaddr *)&address, sizeof address);
	assert_client(&link, "[::1]");
	link_close(&link);
}

static void
a_short_address_in_long_form_is_short(void **state)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	Link link;

	(void)state;
	assert_int_equal(
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr), 1);
	link_open(&link, (struct sockaddr *)&address, sizeof address);
	assert_client(&link, "127.0.0.1");
	link_close(&link);
}

static void
who_has_no_client_has_no_address(void **state)
{
	FsPeer peer;

	(void)state;
	find(&peer);
	assert_string_equal(peer.address, "");
}

/* ---- command lines -------------------------------------------------------*/

/* A child with command line @argv, reaped by the caller. */
static pid_t
child_run(char *const argv[])
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		execv("/bin/sleep", argv);
		_exit(127);
	}
	assert_true(pid > 0);
	(void)close(ready[1]);
	/* Its end is closed by the exec. */
	assert_int_equal(read(ready[0], &byte, 1), 0);
	(void)close(ready[0]);
	return pid;
}

static void
child_end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
a_program_is_known_by_its_command_line(void **state)
{
	char name[] = "ext\nernal";
	char seconds[] = "600";
	char none[] = "0";
	char *const argv[] = { name, seconds, none, NULL };
	pid_t pid = child_run(argv);
	FsPeer peer;

	(void)state;
	assert_int_equal(peer_find(pid, &peer), 0);
	child_end(pid);
	assert_string_equal(peer.command, "ext\nernal 600 0");
	assert_string_equal(peer.address, "");
}

static void
a_long_command_line_is_cut(void **state)
{
	char name[] = "sleep";
	char seconds[] = "600";
	g_autofree char *zeros = g_strnfill(500, '0');
	char *const argv[] = { name, seconds, zeros, NULL };
	pid_t pid = child_run(argv);
	FsPeer peer;

	(void)state;
	assert_int_equal(peer_find(pid, &peer), 0);
	child_end(pid);
	assert_int_equal(strlen(peer.command), FS_PEER_COMMAND_SIZE - 1);
	assert_memory_equal(peer.command, "sleep 600 000", 13);
}

/* Its number may be another process's by then. */
static void
who_has_ended_is_not_taken_for_another(void **state)
{
	int pidfd;
	FsPeer peer;
	pid_t pid = fork();
	siginfo_t info;
	g_autoptr(FsProcReading) reading = NULL;

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_true(pid > 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);

	/* Of what can be read of somebody nothing is his. */
	reading = fs_peer_look(getpid(), pidfd);
	assert_non_null(reading);
	while (fs_proc_peek(reading, &peer, sizeof peer) == -EAGAIN)
		fs_proc_await(reading);
	assert_int_equal(fs_proc_peek(reading, &peer, sizeof peer), -ESRCH);
	(void)close(pidfd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* As where there is no descriptor for it: a close of an smbd that has lost its
 * client would be taken for one of a local program. */
static void
who_cannot_be_asked_is_not_taken_for_a_local_program(void **state)
{
	FsPeer peer;

	(void)state;
	is_unreadable = true;
	assert_int_equal(peer_find(getpid(), &peer), -ESRCH);
	is_unreadable = false;
	find(&peer);
	assert_true(peer.is_smbd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_smbd_is_known_by_its_client),
		cmocka_unit_test(the_first_connection_is_the_client),
		cmocka_unit_test(a_client_may_have_a_long_address),
		cmocka_unit_test(a_short_address_in_long_form_is_short),
		cmocka_unit_test(who_has_no_client_has_no_address),
		cmocka_unit_test(a_program_is_known_by_its_command_line),
		cmocka_unit_test(a_long_command_line_is_cut),
		cmocka_unit_test(who_has_ended_is_not_taken_for_another),
		cmocka_unit_test(
			who_cannot_be_asked_is_not_taken_for_a_local_program),
	};

	(void)prctl(PR_SET_NAME, "smbd[10.0.0.1]");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
