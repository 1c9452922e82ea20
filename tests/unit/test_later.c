/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "fs/later.h"
#include "fs/liveness.h"

typedef struct Site {
	FsLiveness *liveness;
	FsLater *later;
	unsigned runs;
	unsigned left; /* posts of one that posts itself */
	int other_fd;  /* of another event */
} Site;

static int
begin(void **state)
{
	Site *site = g_new0(Site, 1);

	assert_int_equal(fs_liveness_open(&site->liveness), 0);
	assert_int_equal(fs_later_open(site->liveness, &site->later), 0);
	site->other_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(site->other_fd >= 0);
	*state = site;
	return 0;
}

static int
end(void **state)
{
	Site *site = *state;

	fs_later_close(site->later);
	fs_liveness_close(site->liveness);
	close(site->other_fd);
	g_free(site);
	return 0;
}

static void
post_again(void *user_data)
{
	Site *site = user_data;

	/* The other event comes when the first has begun. */
	if (site->runs++ == 0)
		assert_int_equal(eventfd_write(site->other_fd, 1), 0);
	if (site->left > 0) {
		site->left--;
		fs_later_post(site->later, post_again, site);
	}
}

static void
stop(void *user_data, int fd)
{
	Site *site = user_data;

	(void)fd;
	fs_liveness_stop(site->liveness);
	site->left = 0;
}

static void
who_posts_without_end_keeps_nobody_waiting(void **state)
{
	Site *site = *state;

	site->left = UINT_MAX;
	assert_int_equal(
		fs_liveness_watch(site->liveness, site->other_fd, stop, site),
		0);
	fs_later_post(site->later, post_again, site);
	fs_liveness_run(site->liveness);
	assert_in_range(site->runs, 1, 100);
}

/* However much there is to be done: a pulse must come in time. */
static void
each_job_lets_others_have_their_turn(void **state)
{
	Site *site = *state;

	assert_int_equal(
		fs_liveness_watch(site->liveness, site->other_fd, stop, site),
		0);
	for (unsigned i = 0; i < 10; i++)
		fs_later_post(site->later, post_again, site);
	fs_liveness_run(site->liveness);
	assert_in_range(site->runs, 1, 4);
	fs_later_run(site->later);
	assert_int_equal(site->runs, 10);
}

static void
the_end_leaves_nothing_to_be_done(void **state)
{
	Site *site = *state;

	site->left = 1000;
	fs_later_post(site->later, post_again, site);
	fs_later_run(site->later);
	assert_int_equal(site->runs, 1001);
}

static void
what_is_posted_is_done(void **state)
{
	Site *site = *state;

	site->left = 10;
	fs_later_post(site->later, post_again, site);
	fs_later_post(site->later, post_again, site);
	fs_liveness_stop(site->liveness);
	fs_liveness_run(site->liveness);
	fs_later_run(site->later);
	assert_int_equal(site->runs, 12);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_posts_without_end_keeps_nobody_waiting, begin, end),
		cmocka_unit_test_setup_teardown(
			each_job_lets_others_have_their_turn, begin, end),
		cmocka_unit_test_setup_teardown(
			the_end_leaves_nothing_to_be_done, begin, end),
		cmocka_unit_test_setup_teardown(what_is_posted_is_done, begin,
		                                end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
