/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/range_lock_kit.h"

/* ---- ranges --------------------------------------------------------------*/

static void
an_exclusive_lock_keeps_others_out(void **state)
{
	assert_int_equal(try(*state, 1, 10, 19, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 2, 19, 19, EXCLUSIVE), -EAGAIN);
	assert_int_equal(try(*state, 2, 0, 10, SHARED), -EAGAIN);
	assert_int_equal(try(*state, 2, 0, UINT64_MAX, SHARED), -EAGAIN);
	assert_int_equal(try(*state, 2, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 2, 20, UINT64_MAX, EXCLUSIVE), 0);
	assert_held(*state, 10, 19, 1, EXCLUSIVE);
}

static void
shared_locks_meet_and_keep_writers_out(void **state)
{
	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 2, 5, 14, SHARED), 0);
	assert_int_equal(try(*state, 3, 9, 9, EXCLUSIVE), -EAGAIN);
	drop(*state, 1, 0, 9);
	assert_int_equal(try(*state, 3, 0, 4, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 3, 5, 5, EXCLUSIVE), -EAGAIN);
}

static void
files_and_spaces_do_not_meet(void **state)
{
	const FsLockOwner other = owner(2);
	FsLockRange r = range(0, UINT64_MAX, EXCLUSIVE);

	assert_int_equal(try(*state, 1, 0, UINT64_MAX, EXCLUSIVE), 0);
	r.space = FS_LOCK_FLOCK;
	assert_int_equal(fs_range_lock_try(*state, &other, &r), 0);
	r.space = FS_LOCK_POSIX;
	r.node = NODE + 1;
	assert_int_equal(fs_range_lock_try(*state, &other, &r), 0);
	r.node = NODE;
	assert_int_equal(fs_range_lock_try(*state, &other, &r), -EAGAIN);
}

static void
an_unlock_in_the_middle_leaves_two_ends(void **state)
{
	assert_int_equal(try(*state, 1, 0, UINT64_MAX, EXCLUSIVE), 0);
	drop(*state, 1, 10, 19);
	assert_held(*state, 0, 9, 1, EXCLUSIVE);
	assert_free(*state, 10, 19);
	assert_held(*state, 20, UINT64_MAX, 1, EXCLUSIVE);
}

static void
neighbours_of_one_kind_become_one(void **state)
{
	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 1, 20, 29, SHARED), 0);
	assert_int_equal(try(*state, 1, 10, 19, SHARED), 0);
	assert_held(*state, 0, 29, 1, SHARED);
	assert_int_equal(try(*state, 1, 30, 39, EXCLUSIVE), 0);
	assert_held(*state, 30, 39, 1, EXCLUSIVE);
}

static void
an_upgrade_and_a_downgrade_replace_their_part(void **state)
{
	assert_int_equal(try(*state, 1, 0, 29, SHARED), 0);
	assert_int_equal(try(*state, 1, 10, 19, EXCLUSIVE), 0);
	assert_held(*state, 0, 9, 1, SHARED);
	assert_held(*state, 10, 19, 1, EXCLUSIVE);
	assert_held(*state, 20, 29, 1, SHARED);
	assert_int_equal(try(*state, 1, 10, 19, SHARED), 0);
	assert_held(*state, 0, 29, 1, SHARED);
}

static void
an_upgrade_that_meets_a_reader_changes_nothing(void **state)
{
	assert_int_equal(try(*state, 1, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 2, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), -EAGAIN);
	drop(*state, 2, 0, 9);
	assert_held(*state, 0, 9, 1, SHARED);
}

static void
only_the_owner_can_drop(void **state)
{
	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), 0);
	drop(*state, 2, 0, UINT64_MAX);
	fs_range_lock_drop_owner(*state, NODE, 2);
	fs_range_lock_drop_owner(*state, NODE + 1, 1);
	fs_range_lock_drop_handle(*state, NODE, GUINT_TO_POINTER(2));
	assert_held(*state, 0, 9, 1, EXCLUSIVE);
}

/* ---- flush and release ---------------------------------------------------*/

static void
a_flush_drops_the_owners_posix_locks_only(void **state)
{
	const FsLockOwner self = owner(1);
	FsLockRange whole = range(0, UINT64_MAX, EXCLUSIVE);

	whole.space = FS_LOCK_FLOCK;
	assert_int_equal(try(*state, 1, 0, 9, EXCLUSIVE), 0);
	assert_int_equal(try(*state, 1, 20, 29, SHARED), 0);
	assert_int_equal(try(*state, 2, 40, 49, SHARED), 0);
	assert_int_equal(fs_range_lock_try(*state, &self, &whole), 0);

	fs_range_lock_drop_owner(*state, NODE, 1);
	assert_free(*state, 0, 39);
	assert_held(*state, 40, 49, 2, SHARED);

	{
		const FsLockOwner other = owner(2);

		assert_int_equal(fs_range_lock_try(*state, &other, &whole),
		                 -EAGAIN);
	}
}

static void
a_release_drops_what_came_through_the_handle(void **state)
{
	FsLockOwner ofd = { .owner = 100, .handle = GUINT_TO_POINTER(1) };
	FsLockRange r = range(0, 9, EXCLUSIVE);
	FsLockRange whole = range(0, UINT64_MAX, EXCLUSIVE);
	const FsLockOwner stranger = owner(3);

	whole.space = FS_LOCK_FLOCK;
	assert_int_equal(fs_range_lock_try(*state, &ofd, &r), 0);
	assert_int_equal(fs_range_lock_try(*state, &ofd, &whole), 0);
	assert_int_equal(try(*state, 2, 20, 29, EXCLUSIVE), 0);

	fs_range_lock_drop_handle(*state, NODE, ofd.handle);
	assert_free(*state, 0, 19);
	assert_held(*state, 20, 29, 2, EXCLUSIVE);
	assert_int_equal(fs_range_lock_try(*state, &stranger, &whole), 0);
}

/* Neighbours that came through two handles must not become one: each ends
 * with its own. */
static void
neighbours_of_two_handles_stay_apart(void **state)
{
	FsLockOwner one = { .owner = 1, .handle = GUINT_TO_POINTER(1) };
	FsLockOwner two = { .owner = 1, .handle = GUINT_TO_POINTER(2) };
	FsLockRange r = range(0, 9, EXCLUSIVE);

	assert_int_equal(fs_range_lock_try(*state, &one, &r), 0);
	r = range(10, 19, EXCLUSIVE);
	assert_int_equal(fs_range_lock_try(*state, &two, &r), 0);
	fs_range_lock_drop_handle(*state, NODE, one.handle);
	assert_free(*state, 0, 9);
	fs_range_lock_drop_owner(*state, NODE, 1);
	assert_free(*state, 0, UINT64_MAX);
}

/* ---- limits --------------------------------------------------------------*/

/* Takes ranges that nobody else wants until @id is refused. */
static unsigned
take_all(FsRangeLock *table, uint64_t id)
{
	const uint64_t first = id << 32;
	unsigned taken = 0;

	while (try(table, id, first + 2 * (uint64_t)taken,
	           first + 2 * (uint64_t)taken, EXCLUSIVE) == 0)
		taken++;
	assert_int_equal(try(table, id, first - 1, first - 1, SHARED), -ENOLCK);
	return taken;
}

static void
ranges_are_limited_and_room_comes_back(void **state)
{
	assert_in_range(take_all(*state, 1), CLIENT_MAX - 2, CLIENT_MAX);
	fs_range_lock_drop_owner(*state, NODE, 1);
	assert_free(*state, 0, UINT64_MAX);
	assert_int_equal(try(*state, 1, 0, UINT64_MAX, EXCLUSIVE), 0);
}

/* Nobody who has few is kept from work by those who take what they can get. */
static void
who_has_few_is_let_in_beside_who_has_many(void **state)
{
	unsigned taken = 0;
	uint64_t id;

	for (id = 1; id <= LOCKS_MAX / CLIENT_MAX; id++)
		taken += take_all(*state, id);
	assert_in_range(taken, LOCKS_MAX * 3 / 4 - 2,
	                LOCKS_MAX * 3 / 4 + CLIENT_MAX / 16);
	assert_int_equal(try(*state, id, 0, 0, EXCLUSIVE), 0);

	for (; taken < LOCKS_MAX - 3 && id < 200; id++)
		taken += take_all(*state, id);
	assert_in_range(taken, LOCKS_MAX - 3, LOCKS_MAX);
	assert_int_equal(try(*state, id, 2, 2, EXCLUSIVE), -ENOLCK);
}

/* One lock on everything and an unlock of every second byte must not grow
 * without bound; and what cannot be split must not be lost. */
static void
unlocking_cannot_exceed_the_limit(void **state)
{
	const uint64_t beyond = 4 * (uint64_t)CLIENT_MAX;

	assert_int_equal(try(*state, 1, 0, UINT64_MAX, EXCLUSIVE), 0);
	assert_int_equal(drop(*state, 1, 1, 1), 0);
	for (uint64_t i = 3; i < beyond - 2; i += 2)
		(void)drop(*state, 1, i, i);
	assert_int_equal(drop(*state, 1, beyond - 1, beyond - 1), -ENOLCK);
	assert_free(*state, 1, 1);
	assert_int_equal(try(*state, 2, beyond, beyond, SHARED), -EAGAIN);
	assert_int_equal(try(*state, 2, 1, 1, SHARED), 0);
	drop(*state, 2, 1, 1);
	drop(*state, 1, 0, UINT64_MAX);
	assert_free(*state, 0, UINT64_MAX);
}

/* ---- against a model -----------------------------------------------------*/

#define MODEL_BYTES  24
#define MODEL_OWNERS 4

/* What each owner holds of each byte: 0 nothing, 1 shared, 2 exclusive. */
typedef struct Model {
	uint8_t held[MODEL_OWNERS][MODEL_BYTES];
} Model;

static bool
model_is_in_the_way(const Model *model, unsigned who, unsigned byte,
                    bool exclusive)
{
	for (unsigned o = 0; o < MODEL_OWNERS; o++)
		if (o != who && (model->held[o][byte] == 2 ||
		                 (exclusive && model->held[o][byte] == 1)))
			return true;
	return false;
}

static void
model_compare(FsRangeLock *table, const Model *model)
{
	for (unsigned who = 0; who < MODEL_OWNERS; who++) {
		const FsLockOwner o = owner(who + 1);

		for (unsigned byte = 0; byte < MODEL_BYTES; byte++) {
			for (int exclusive = 0; exclusive < 2; exclusive++) {
				const FsLockRange r =
					range(byte, byte, exclusive == 1);
				FsLockRange found;
				FsLockOwner holder;

				assert_int_equal(
					fs_range_lock_test(table, &o, &r,
				                           &found, &holder),
					model_is_in_the_way(model, who, byte,
				                            exclusive == 1));
			}
		}
	}
}

static void
any_sequence_agrees_with_a_model(void **state)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(20260701);
	Model model = { 0 };

	for (unsigned step = 0; step < 20000; step++) {
		unsigned who =
			(unsigned)g_rand_int_range(rand, 0, MODEL_OWNERS);
		unsigned first =
			(unsigned)g_rand_int_range(rand, 0, MODEL_BYTES);
		unsigned last = (unsigned)g_rand_int_range(rand, (gint32)first,
		                                           MODEL_BYTES);
		unsigned kind = (unsigned)g_rand_int_range(rand, 0, 3);
		int expected = 0;

		for (unsigned byte = first; kind > 0 && byte <= last; byte++)
			if (model_is_in_the_way(&model, who, byte, kind == 2))
				expected = -EAGAIN;
		if (kind == 0)
			drop(*state, who + 1, first, last);
		else
			assert_int_equal(
				try(*state, who + 1, first, last, kind == 2),
				expected);
		for (unsigned byte = first; expected == 0 && byte <= last;
		     byte++)
			model.held[who][byte] = (uint8_t)kind;
		model_compare(*state, &model);
	}
}

static void
a_handle_knows_what_was_locked_through_it(void **state)
{
	static const char flock[] = "";
	const FsLockOwner flocker = { .owner = 3, .handle = flock };
	const FsLockRange whole = { .node = NODE,
		                    .space = FS_LOCK_FLOCK,
		                    .last = UINT64_MAX };
	const void *handle = owner(1).handle;

	assert_false(fs_range_lock_has(*state, NODE, handle, UINT64_MAX));
	assert_int_equal(try(*state, 2, 0, 9, SHARED), 0);
	assert_int_equal(try(*state, 1, 50, 99, SHARED), 0);
	assert_true(fs_range_lock_has(*state, NODE, handle, 51));
	assert_false(fs_range_lock_has(*state, NODE, handle, 50));
	assert_false(fs_range_lock_has(*state, NODE, handle, 0));
	assert_false(fs_range_lock_has(*state, NODE + 1, handle, 51));
	assert_int_equal(drop(*state, 1, 50, 98), 0);
	assert_true(fs_range_lock_has(*state, NODE, handle, 100));
	assert_false(fs_range_lock_has(*state, NODE, handle, 99));
	fs_range_lock_drop_handle(*state, NODE, handle);
	assert_false(fs_range_lock_has(*state, NODE, handle, 100));

	assert_int_equal(fs_range_lock_try(*state, &flocker, &whole), 0);
	assert_true(fs_range_lock_has(*state, NODE, flock, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_exclusive_lock_keeps_others_out),
		TEST(shared_locks_meet_and_keep_writers_out),
		TEST(files_and_spaces_do_not_meet),
		TEST(an_unlock_in_the_middle_leaves_two_ends),
		TEST(neighbours_of_one_kind_become_one),
		TEST(an_upgrade_and_a_downgrade_replace_their_part),
		TEST(an_upgrade_that_meets_a_reader_changes_nothing),
		TEST(only_the_owner_can_drop),
		TEST(a_flush_drops_the_owners_posix_locks_only),
		TEST(a_release_drops_what_came_through_the_handle),
		TEST(neighbours_of_two_handles_stay_apart),
		TEST(ranges_are_limited_and_room_comes_back),
		TEST(who_has_few_is_let_in_beside_who_has_many),
		TEST(unlocking_cannot_exceed_the_limit),
		TEST(any_sequence_agrees_with_a_model),
		TEST(a_handle_knows_what_was_locked_through_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
