/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

#include <glib.h>

#include "store/store.h"

/**
 * What a store should be, as plainly as it can be said: a tree of nodes in
 * memory, files as byte arrays. It shares no code with the store but the
 * folding of names.
 */
typedef struct ModelNode ModelNode;
typedef struct Model Model;

struct ModelNode {
	StoreNode node; /* as the store calls it */
	ModelNode *parent;
	uint32_t mode;
	char *name;
	GHashTable *children; /* folded name -> ModelNode; NULL for a file */
	GByteArray *bytes;    /* NULL for a directory */
	GHashTable *xattrs;   /* name -> text */
};

Model *model_new(void);
void model_free(Model *model);

/** A model that is the same, and shares nothing with @model. */
Model *model_copy(const Model *model);

/** The node that the store calls @node, or NULL. */
ModelNode *model_node(const Model *model, StoreNode node);

/** What @name in @dir stands for, as the store calls it, or 0. */
StoreNode model_find(ModelNode *dir, const char *name);

/** One at random. A file may be NULL if there is none. */
ModelNode *model_any_dir(Model *model, GRand *rand);
ModelNode *model_any_file(Model *model, GRand *rand);

/** These return what the store must return. */
int model_add(Model *model, ModelNode *dir, const char *name, uint32_t mode,
              ModelNode **ret_node);
int model_remove(Model *model, ModelNode *dir, const char *name, uint32_t type);
int model_move(Model *model, ModelNode *dir, const char *name, ModelNode *to,
               const char *new_name, StoreMove how);
int model_xattr_remove(ModelNode *node, const char *name);

void model_xattr_set(ModelNode *node, const char *name, const char *value);
void model_write(ModelNode *file, uint64_t offset, const void *data,
                 size_t size);
void model_truncate(ModelNode *file, uint64_t size);
void model_punch(ModelNode *file, uint64_t offset, uint64_t size);
size_t model_read(const ModelNode *file, uint64_t offset, void *buf,
                  size_t size);

/** Fails the test unless @txn sees exactly what @model has. */
void model_compare(Model *model, StoreTxn *txn);

/** As model_compare(), but files may be others of the same names. */
void model_compare_names(Model *model, StoreTxn *txn);
