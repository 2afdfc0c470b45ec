// A plugin in Rust with nothing but the standard library: its own declarations of the vtable, its state behind user_data.
use std::ffi::{c_char, c_void, CString};
use std::ptr::null;
use std::sync::Mutex;

#[repr(C)]
pub struct CMessageEvent {
    sender_identity: *const u8,
    sender_identity_len: usize,
    recipient_key: *const u8,
    recipient_key_len: usize,
    channel_id: *const u8,
    channel_id_len: usize,
    payload_len: usize,
    seq: u64,
}

#[repr(C)]
pub struct CAuthEvent {
    username: *const u8,
    username_len: usize,
    success: i32,
    failure_reason: *const u8,
    failure_reason_len: usize,
}

type Ignored = Option<unsafe extern "C" fn()>;

#[repr(C)]
pub struct HookVTable {
    user_data: *mut c_void,
    on_message_enqueue: Option<unsafe extern "C" fn(*mut c_void, *const CMessageEvent) -> i32>,
    on_batch_enqueue: Option<unsafe extern "C" fn(*mut c_void, *const CMessageEvent, usize)>,
    on_auth: Option<unsafe extern "C" fn(*mut c_void, *const CAuthEvent)>,
    on_channel_created: Ignored,
    on_fetch: Ignored,
    on_user_registered: Ignored,
    error_message: Option<unsafe extern "C" fn(*mut c_void) -> *const c_char>,
    destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    on_shutdown: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[derive(Default)]
struct State {
    login: String,
    batched: usize,
    reason: CString,
}

unsafe fn state<'a>(user_data: *mut c_void) -> &'a Mutex<State> {
    &*(user_data as *const Mutex<State>)
}

unsafe fn text(at: *const u8, len: usize) -> String {
    String::from_utf8_lossy(std::slice::from_raw_parts(at, len)).into_owned()
}

unsafe extern "C" fn on_message_enqueue(user_data: *mut c_void, event: *const CMessageEvent) -> i32 {
    let event = &*event;
    if event.payload_len <= 100 {
        return 0;
    }
    let mut state = state(user_data).lock().unwrap();
    let reason = format!("{} > 100; last login: {}; batched {} bytes", event.payload_len, state.login, state.batched);
    state.reason = CString::new(reason).unwrap();
    1
}

unsafe extern "C" fn on_batch_enqueue(user_data: *mut c_void, events: *const CMessageEvent, count: usize) {
    let events = std::slice::from_raw_parts(events, count);
    state(user_data).lock().unwrap().batched += events.iter().map(|event| event.payload_len).sum::<usize>();
}

unsafe extern "C" fn on_auth(user_data: *mut c_void, event: *const CAuthEvent) {
    let event = &*event;
    let username = text(event.username, event.username_len);
    let reason = text(event.failure_reason, event.failure_reason_len);
    state(user_data).lock().unwrap().login = format!("{username} ({reason})");
}

unsafe extern "C" fn error_message(user_data: *mut c_void) -> *const c_char {
    let state = state(user_data).lock().unwrap();
    if state.reason.is_empty() { null() } else { state.reason.as_ptr() }
}

unsafe extern "C" fn destroy(user_data: *mut c_void) {
    drop(Box::from_raw(user_data as *mut Mutex<State>));
}

/// # Safety
/// `vtable` points to a zeroed vtable.
#[no_mangle]
pub unsafe extern "C" fn qpc_plugin_init(vtable: *mut HookVTable) -> i32 {
    let vtable = &mut *vtable;
    vtable.user_data = Box::into_raw(Box::new(Mutex::new(State::default()))) as *mut c_void;
    vtable.on_message_enqueue = Some(on_message_enqueue);
    vtable.on_batch_enqueue = Some(on_batch_enqueue);
    vtable.on_auth = Some(on_auth);
    vtable.error_message = Some(error_message);
    vtable.destroy = Some(destroy);
    0
}
