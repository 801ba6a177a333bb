"""An application with a few routes of each kind, and people who may log in to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from fastapi.responses import JSONResponse

from kernel.auth import prelogin, service, users, web
from kernel.auth.model import SYSTEM, Actor, Permission, Role, Session, User
from kernel.crypto import FieldCipher
from kernel.db import Database
from kernel.errors import DomainError
from kernel.live import LiveHub
from kernel.web import WebContext, get_context, get_now

PASSWORD = "four-horses-run"
Context = Annotated[WebContext, Depends(get_context)]
Now = Annotated[datetime, Depends(get_now)]
router = APIRouter()


@router.get("/login", dependencies=[Depends(web.public)])
async def login_page(request: Request, ctx: Context) -> Response:
    nonce = prelogin.nonce_of(request)
    response = Response(prelogin.form_token(nonce, ctx))
    prelogin.set_cookie(response, nonce, ctx)
    return response


@router.post("/login", dependencies=[Depends(web.public)])
async def login(
    request: Request,
    ctx: Context,
    now: Now,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
) -> Response:
    await prelogin.check(request, ctx)
    opened = await service.login(
        ctx.db,
        username=username,
        password=password,
        client_ip=web.client_ip(request, ctx),
        user_agent=request.headers.get("user-agent", ""),
        now=now,
        old_token=request.cookies.get(web.COOKIE),
    )
    response = Response(opened.session.csrf_token)
    web.set_session_cookie(response, opened, ctx)
    return response


@router.get("/me")
async def me(actor: Annotated[Actor, Depends(web.current_actor)]) -> dict[str, str]:
    return {"username": actor.username}


@router.get("/api/me")
async def api_me(actor: Annotated[Actor, Depends(web.current_actor)]) -> dict[str, str]:
    return {"username": actor.username}


@router.post("/change")
async def change(actor: Annotated[Actor, Depends(web.current_actor)]) -> dict[str, str]:
    return {"username": actor.username}


@router.post("/change-form")
async def change_form(
    actor: Annotated[Actor, Depends(web.current_actor)], word: Annotated[str, Form()]
) -> dict[str, str]:
    return {"word": word}


@router.get("/elders")
async def elders(
    actor: Annotated[Actor, Depends(web.requires(Permission.ELDER_READ, Permission.ELDER_WRITE))],
) -> dict[str, str]:
    return {"username": actor.username}


@router.get("/account/password")
async def password_page(session: Annotated[Session, Depends(web.signed_in)]) -> dict[str, bool]:
    return {"must_change": session.must_change_password}


@router.get("/ip", dependencies=[Depends(web.public)])
async def ip(request: Request, ctx: Context) -> str:
    return web.client_ip(request, ctx)


@router.get("/forgotten")
async def forgotten() -> str:
    return "this route has no mark"


class Clock:
    """The time of the requests; tests move it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def app(db: Database, cipher: FieldCipher, clock: Clock) -> FastAPI:
    made = FastAPI()
    made.state.context = WebContext(
        db=db,
        cipher=cipher,
        hub=LiveHub(db),
        public_url="https://console.example.cn",
        secure_cookies=True,
        trusted_proxies=frozenset({"127.0.0.1", "10.1.0.0/16"}),
    )
    made.include_router(router)
    made.dependency_overrides[get_now] = lambda: clock.now

    @made.exception_handler(DomainError)
    async def answer(request: Request, error: DomainError) -> Response:
        return web.way_out(request, error) or JSONResponse(
            {"code": error.code, "message": error.message}, error.status
        )

    return made


class Browser(httpx.AsyncClient):
    """A browser on our pages: cookies, HTML wanted, redirects seen and not followed."""

    csrf = ""

    async def log_in(
        self, username: str, password: str = PASSWORD, **headers: str
    ) -> httpx.Response:
        token = (await self.get("/login")).text
        form = {"username": username, "password": password, "_csrf": token}
        response = await self.post("/login", data=form, headers=headers)
        if response.is_success:
            self.csrf = response.text
        return response

    @property
    def session_cookie(self) -> str:
        return self.cookies.get(web.COOKIE) or ""


Open = Callable[[], Browser]


@pytest.fixture
async def open_browser(app: FastAPI) -> AsyncIterator[Open]:
    browsers: list[Browser] = []

    def open_one() -> Browser:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        browser = Browser(
            transport=transport,
            base_url="https://console.example.cn",
            headers={"Accept": "text/html,*/*"},
        )
        browsers.append(browser)
        return browser

    yield open_one
    for browser in browsers:
        await browser.aclose()


@pytest.fixture
async def browser(open_browser: Open) -> Browser:
    return open_browser()


MakeUser = Callable[..., Awaitable[User]]


@pytest.fixture
def make_user(db: Database, now: datetime) -> MakeUser:
    async def make(
        username: str = "wang.fang",
        *roles: Role,
        division: str = "1501",
        must_change_password: bool = False,
    ) -> User:
        async with db.transaction() as tx:
            return await users.create_user(
                tx,
                username=username,
                display_name="王芳",
                roles=roles or (Role.OPERATOR,),
                division=division,
                password=PASSWORD,
                must_change_password=must_change_password,
                actor=SYSTEM,
                now=now,
            )

    return make
