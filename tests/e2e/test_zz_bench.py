import random, time, resource
from datetime import datetime, timedelta, UTC
from decimal import Decimal
from schemas.messages import *
from services.reporting.handler import ReportingHandler
from services.reporting.store import Tables, Reports
from services.reporting.model import Range
from services.reporting.rules import tables
from services.reporting.totals import totals
from services.runtime.mongo import connect, transaction
from services.runtime.settings import Settings
from services.runtime.turn import Turn
from tests.reporting import Log, NOW

async def drive(db, handler, records, label):
    cpu=resource.getrusage(resource.RUSAGE_SELF); t=time.perf_counter()
    async with await db.client.start_session() as s:
        for i in range(0,len(records),2000):
            async with transaction(s):
                turn=Turn(now=NOW,session=s,records=records[i:i+2000])
                await handler.handle(turn)
            assert not turn.rejected
    dt=time.perf_counter()-t; c=resource.getrusage(resource.RUSAGE_SELF)
    us=(c.ru_utime+c.ru_stime-cpu.ru_utime-cpu.ru_stime)/len(records)*1e6
    print(f"{label}: {len(records)/dt:,.0f}/s wall, client CPU {us:.0f} us/record")

async def test_bench(stack):
    client=connect(Settings(mongo_url=stack.mongo_url)); db=client["rbench"]
    await Tables(db).prepare()
    rnd=random.Random(1); log=Log(8)
    day0=datetime(1997,1,1,tzinfo=UTC); orders={}; recs=[]; total=Decimal(0)
    first={}
    people=list(range(23570)); n=69659
    seq=people+[rnd.choice(people) for _ in range(n-len(people))]
    rnd.shuffle(seq)
    for k,p in enumerate(seq):
        at=day0+timedelta(days=k*546//n); amt=Decimal(rnd.randrange(1,20000))/100
        total+=amt
        orders.setdefault(p,[]).append(Order(order_id=f"o{k}",currency="USD",ordered_at=at,updated_at=at,revenue=amt,total=amt,products=[OrderLine(product_id=f"cd{rnd.randrange(500)}",name="CD",price=amt,quantity=1)]))
        first[p]=min(at,first.get(p,at))
        recs.append(log.changed(f"p{p}",len(orders[p]),first_seen=first[p],orders=orders[p]))
    h=ReportingHandler(Tables(db))
    import cProfile,pstats
    pr=cProfile.Profile(); pr.enable()
    await drive(db,h,recs[:20000],"order changes (profiled)")
    pr.disable(); pstats.Stats(pr).sort_stats("tottime").print_stats(18)
    await drive(db,h,recs[20000:],"order changes")
    s=await totals(Reports(db),Range())
    print({k:s[k] for k in("people","customers","orders","revenue")}, total)
    assert (s["customers"],s["orders"],s["revenue"][0]["amount"])==(23570,69659,f"{total:.2f}")
    vers={p:len(o) for p,o in orders.items()}; recs=[]
    for k in range(60000):
        p=rnd.choice(people); vers[p]+=1
        recs.append(log.changed(f"p{p}",vers[p],first_seen=first[p],orders=orders[p],traits={"city":"Oslo","x":k},counters={"Page Viewed":k}))
    await drive(db,h,recs,"irrelevant changes, warm")
    h.lost(None)
    vers2=[log.changed(f"p{p}",vers[p]+1,first_seen=first[p],orders=orders[p]) for p in people]
    await drive(db,h,vers2,"irrelevant changes, cold")
    recs=[log.seen(f"p{rnd.choice(people)}",rnd.choice(["Page Viewed","Product Viewed","Order Completed"]),NOW-timedelta(seconds=rnd.randrange(600))) for _ in range(60000)]
    await drive(db,h,recs,"interactions")
    R=Reports(db)
    for name,asked in (("revenue_by_day",Range()),("top_products",Range(limit=10)),("top_products",Range(start="1997-01-01",limit=10)),("events_by_minute",Range())):
        t=time.perf_counter(); rows=await R.read(tables.BY_NAME[name],asked); print(name,asked.start,len(rows),f"{(time.perf_counter()-t)*1e3:.0f} ms")
    t=time.perf_counter(); await totals(R,Range()); print("totals",f"{(time.perf_counter()-t)*1e3:.0f} ms")
    await client.drop_database("rbench"); client.close()
