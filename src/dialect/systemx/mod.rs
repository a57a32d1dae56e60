//! stub while the dialect is being written
use crate::exchange::*; use crate::exchange::cause::Cause;
pub struct Decoder; pub struct Bounds{pub metadata_bytes_max: usize}
pub struct Refusal; pub enum CloseWhy{Empty,InvalidJson} pub enum WireError{Refuse(Refusal),InvalidAddress,Close(CloseWhy)}
impl Decoder{pub fn new(_b:Bounds)->Self{Decoder} pub fn decode<'f>(&mut self,_p:&'f [u8],_u:bool,_r:bool)->Result<Request<'f>,WireError>{Err(WireError::Close(CloseWhy::Empty))}}
pub fn encode(_n:&Notice<'_>,_o:&mut Vec<u8>){} pub fn encode_refusal(_r:&Refusal,_o:&mut Vec<u8>){} pub fn encode_invalid_address(_o:&mut Vec<u8>){} pub fn encoded_len_hint(_n:&Notice<'_>)->usize{0} pub fn close_of(_c:Cause)->(u16,&'static str){(4000,"")}
