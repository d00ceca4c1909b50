/* The frozen boundary between the gateway and its plugins, ABI 1, for plugins not written in Rust.
 *
 * The rules are in the head of plugin-api/abi/src/lib.rs. A test compares every line below with
 * the Rust definitions; nothing here changes within ABI 1.
 */
#ifndef GATEWAY_PLUGIN_H
#define GATEWAY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define GW_ABI_MAJOR 1
#define GW_FINGERPRINT UINT64_C(0xf9f81ceed770bbfe)
#define GW_SECTION ".gwplug"
#define GW_MAGIC "GWPLUGIN-ABI\0\r\n\x1a"

/* What a frame is. */
#define GW_KIND_REQUEST 1
#define GW_KIND_CANCEL 2
#define GW_KIND_RESPONSE 3
#define GW_KIND_CREDIT 4
#define GW_KIND_EVENT 5
#define GW_KIND_LOG 6
#define GW_KIND_FATAL 7

/* What open, deliver and close answer. */
#define GW_RC_OK 0
#define GW_RC_BUSY -1
#define GW_RC_CLOSED -2
#define GW_RC_BAD_FRAME -3
#define GW_RC_PANIC -4
#define GW_RC_UNSUPPORTED -5

/* Borrowed bytes. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
} gw_slice;

/* Owned bytes; the receiver calls release(owner) once. */
typedef struct {
    const uint8_t *ptr;
    size_t len;
    void *owner;
    void (*release)(void *owner);
} gw_blob;

/* One message. */
typedef struct {
    uint32_t size;
    uint32_t kind;
    uint64_t id;
    uint32_t flags;
    int32_t status;
    gw_slice body;
    gw_blob blob;
} gw_frame;

/* What the host gives to an instance. */
typedef struct {
    uint32_t size;
    uint16_t abi_major;
    uint16_t api_minor;
    void *ctx;
    int32_t (*deliver)(void *ctx, gw_frame *frame);
} gw_host_api;

/* What a plugin gives to the host. */
typedef struct {
    uint32_t size;
    uint16_t abi_major;
    uint16_t api_minor;
    int32_t (*open)(const gw_host_api *host, void **out);
    int32_t (*deliver)(void *instance, gw_frame *frame);
    int32_t (*close)(void *instance, uint32_t grace_ms);
} gw_plugin_api;

/* The head of section GW_SECTION, exported as GW_PLUGIN_MANIFEST_V1; plugin.json follows it. */
typedef struct {
    uint8_t magic[16];
    uint16_t abi_major;
    uint16_t api_minor;
    uint32_t flags;
    uint64_t fingerprint;
    uint64_t json_len;
} gw_section_header;

/* Exported by every plugin: pure, returns a static. */
const gw_plugin_api *gw_plugin_entry_v1(void);

#endif
