/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/status.h"

#include <unistd.h>

#include "fs/control.h"
#include "fs/health.h"

GVariant *
fs_status_answer(void *user_data, const char *argument, char **ret_error)
{
	const FsStatus *status = user_data;
	GVariantBuilder answer = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
	StoreVitals vitals = { .error = 0 };
	int r;

	(void)argument;
	(void)ret_error;
	r = store_vitals(status->store, &vitals);
	if (r < 0)
		vitals.error = -r;

	g_variant_builder_add(
		&answer, "{sv}", "state",
		g_variant_new_string(fs_health_text(vitals.error)));
	g_variant_builder_add(&answer, "{sv}", "version",
	                      g_variant_new_string(POFS_VERSION));
	g_variant_builder_add(&answer, "{sv}", "pid",
	                      g_variant_new_uint32((guint32)getpid()));
	g_variant_builder_add(&answer, "{sv}", "store",
	                      fs_control_text(status->store_path));
	g_variant_builder_add(&answer, "{sv}", "mount-point",
	                      fs_control_text(status->mount_point));
	g_variant_builder_add(
		&answer, "{sv}", "since-us-ago",
		g_variant_new_int64(g_get_monotonic_time() - status->since_us));
	g_variant_builder_add(&answer, "{sv}", "room-total",
	                      g_variant_new_uint64(vitals.room.total));
	g_variant_builder_add(&answer, "{sv}", "room-free",
	                      g_variant_new_uint64(vitals.room.free));
	return g_variant_builder_end(&answer);
}
