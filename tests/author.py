# mysite/gateway.py
from typing import Annotated

from arcly_channels import GatewayConsumer, InvalidPayload, subscribe
from pydantic import BaseModel, Field


class NewMessage(BaseModel):
    room: str
    text: str = Field(min_length=1, max_length=2000)


class Message(BaseModel):
    id: int
    room: str
    text: str


class Chat(GatewayConsumer):
    sends = {"message.receive": Message}

    async def on_connect(self) -> None:
        self.count = 0

    async def may_join(self, room: str) -> None:
        """Anybody may join any room."""

    @subscribe("message.send")
    async def send_message(self, data: NewMessage) -> Message:
        if not self.client.is_in_room(data.room):
            raise InvalidPayload([{"path": "data.room", "message": "join it first"}])
        self.count += 1
        message = Message(id=self.count, room=data.room, text=data.text)
        await self.broadcast_to_room(data.room, "message.receive", message)
        return message

    @subscribe("volume.set")
    async def set_volume(self, data: Annotated[int, Field(ge=0, le=11)]) -> None:
        self.volume = data


async def mistake(chat: Chat) -> None:
    await chat.emit(3, "three")  # type: ignore[arg-type]
